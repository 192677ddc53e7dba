"""Subjects of one's own on WebSockets that aiohttp has opened."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from reactivex import operators as ops
from reactivex.subject import BehaviorSubject, ReplaySubject, Subject

import rxws
from tests.integration.raw import raw
from tests.integration.server import serving
from tests.streams import ended, watch

BOTH_LOOPS = True


@rxws.websocket
def shout(incoming: Any) -> Any:
    return incoming.pipe(ops.map(str.upper))


async def test_own_subjects_on_a_prepared_websocket_response() -> None:
    incoming, outgoing, errors = ReplaySubject[str](), BehaviorSubject("now"), Subject[Exception]()
    log = watch(incoming=incoming, errors=errors)

    async def handler(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        socket = rxws.attach(ws, incoming, outgoing, errors, heartbeat=0.05)
        await socket.closed
        return ws

    async with serving(handler) as server, aiohttp.ClientSession() as session, session.ws_connect(server.url) as ws:
        assert await ws.receive_str() == "now"
        await ws.send_str("a")
        outgoing.on_next("later")
        assert await ws.receive_str() == "later"
        await asyncio.sleep(0)
        outgoing.on_completed()
        await ws.receive()
        assert ws.close_code == 1000
    assert log == [("incoming", "a"), "incoming|", "errors|"]


async def test_the_client_s_websocket_has_the_same_streams() -> None:
    async with serving(shout) as server, aiohttp.ClientSession() as session, session.ws_connect(server.url) as ws:
        socket = rxws.attach(ws)
        incoming, outgoing, _ = socket
        assert (socket.remote, socket.protocol) == ("127.0.0.1", None)
        outgoing.on_next("hello")
        assert await incoming.pipe(ops.first()) == "HELLO"
        outgoing.on_next(rxws.Close(4001, "bye"))
        assert await ended(socket) == rxws.Close(4001, "bye")
        assert await ended(server.sockets[0]) == rxws.Close(4001, "bye")
        assert ws.closed


async def test_a_client_whose_server_closes_sees_the_code() -> None:
    handler = rxws.websocket(lambda socket: socket.close(4002, "no"))
    async with serving(handler) as server, aiohttp.ClientSession() as session, session.ws_connect(server.url) as ws:
        socket = rxws.attach(ws)
        socket.incoming.subscribe()
        assert await ended(socket) == rxws.Close(4002, "no")


async def test_a_client_that_aiohttp_closes_ends_its_streams() -> None:
    async with serving(shout) as server, aiohttp.ClientSession() as session:
        async with session.ws_connect(server.url) as ws:
            socket = rxws.attach(ws)
            log = watch(incoming=socket.incoming, closed=socket.closed)
            await asyncio.sleep(0.05)
        await ended(socket)
        assert (await ended(server.sockets[0])).code == 1000
    assert log == ["incoming|", ("closed", rxws.Close()), "closed|"]


async def test_websocket_without_peer_ends_at_once(
    collected: Callable[[], None], eventually: Callable[..., Any]
) -> None:
    """A WebSocket whose peer has left already ends at once, and leaves nothing behind."""
    sockets: list[rxws.WebSocket[Any, Any]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await eventually(lambda: request.transport is None)
        sockets.append(rxws.attach(ws, Subject(), Subject()))
        assert (await ended(sockets[0])).code == 1006
        return ws

    async with serving(handler) as server:
        async with raw(server.port):
            pass
        await eventually(lambda: sockets)
        await ended(sockets[0])
        collected()  # a coroutine that was never awaited would be warned of, which is an error here


async def test_without_errors_the_first_one_closes() -> None:
    """Without a Subject for errors, the first error closes the socket."""
    incoming = Subject[Any]()
    async with serving(shout) as server, aiohttp.ClientSession() as session, session.ws_connect(server.url) as ws:
        socket = rxws.attach(ws, incoming, Subject(), codec=rxws.json)
        await ws.send_str("not json in upper case")
        assert (await ended(socket)).code == 1007
        assert (await ended(server.sockets[0])).code == 1007


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((None,), TypeError, "attach takes a WebSocketResponse or a ClientWebSocketResponse"),
        ((web.WebSocketResponse(),), RuntimeError, "not prepared: await ws.prepare"),
        ((web.WebSocketResponse(), 3), TypeError, "incoming must be a Subject or another Observer"),
        ((web.WebSocketResponse(), None, 3), TypeError, "outgoing must be a Subject or another Observable"),
        ((web.WebSocketResponse(), None, None, 3), TypeError, "errors must be a Subject or another Observer"),
    ],
)
async def test_bad_arguments_are_clear_errors(arguments: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        rxws.attach(*arguments)


@pytest.mark.parametrize("option", ["protocols", "origins", "max_msg_size", "compress"])
async def test_options_of_the_handshake_are_refused(option: str) -> None:
    """Options that the handshake has decided are refused."""
    with pytest.raises(TypeError, match=f"unknown option '{option}'"):
        rxws.attach(web.WebSocketResponse(), **{option: None})


async def test_aiohttp_s_heartbeat_keeps_a_healthy_peer() -> None:
    """A heartbeat of aiohttp's own does not end a healthy peer."""

    async def handler(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(heartbeat=0.1)
        await ws.prepare(request)
        incoming, outgoing, _ = socket = rxws.attach(ws)
        incoming.subscribe(outgoing)
        await socket.closed
        return ws

    async with serving(handler) as server, aiohttp.ClientSession() as session:
        socket = rxws.attach(await session.ws_connect(server.url, heartbeat=0.1))
        log = watch(incoming=socket.incoming)
        await asyncio.sleep(0.5)
        socket.outgoing.on_next("alive")
        socket.outgoing.on_completed()
        assert await ended(socket) == await ended(server.sockets[0]) == rxws.Close()
        assert log == ["incoming|"]


async def test_attaching_twice_is_refused() -> None:
    """A WebSocket that is attached already is refused, and goes on."""

    async def handler(request: web.Request) -> web.StreamResponse:
        async with rxws.accept(request) as socket:
            with pytest.raises(RuntimeError, match="belongs to rxws already"):
                rxws.attach(socket.response)
            socket.outgoing.on_next("still here")
        return socket.response

    async with serving(handler) as server, aiohttp.ClientSession() as session, session.ws_connect(server.url) as ws:
        socket = rxws.attach(ws)
        with pytest.raises(RuntimeError, match="belongs to rxws already"):
            rxws.attach(ws)
        async with asyncio.timeout(5):
            assert await socket.incoming.pipe(ops.first()) == "still here"
        assert await ended(socket) == rxws.Close()


async def test_a_closed_websocket_is_refused() -> None:
    async with serving(shout) as server, aiohttp.ClientSession() as session:
        ws = await session.ws_connect(server.url)
        await ws.close()
        with pytest.raises(RuntimeError, match="closed already"):
            rxws.attach(ws)
