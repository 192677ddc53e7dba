"""Opening a socket in a handler of one's own."""

import asyncio
import logging
from typing import Any

import aiohttp
import pytest
import websockets
from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops

import rxws
from tests.integration.server import serving
from tests.streams import ended

BOTH_LOOPS = True


async def guarded(request: web.Request) -> web.StreamResponse:
    if request.query.get("token") != "secret":
        raise web.HTTPUnauthorized
    async with rxws.accept(request, codec=rxws.json) as socket:
        socket.outgoing.on_next({"you": await socket.incoming.pipe(ops.first())})
        assert socket.request is request
    return socket.response


async def test_something_may_come_before_the_upgrade() -> None:
    async with serving(guarded) as server, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            await session.ws_connect(server.url)
        assert error.value.status == 401
        async with session.ws_connect(server.url + "?token=secret") as ws:
            await ws.send_str("1")
            assert await ws.receive_str() == '{"you":1}'
            await ws.receive()
            assert ws.close_code == 1000


async def test_failing_block_closes_1011(caplog: pytest.LogCaptureFixture) -> None:
    """A block that raises closes with 1011, shows its error on `errors`, and raises on."""
    seen: list[Any] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        async with rxws.accept(request) as socket:
            socket.errors.subscribe(seen.append)
            raise ValueError("in the block")
        return socket.response

    async with serving(handler) as server, websockets.connect(server.url) as client:
        await client.wait_closed()
        assert (client.close_code, client.close_reason) == (1011, "Unexpected Error")
        await ended(server.sockets[0])
    assert [str(error) for error in seen] == ["in the block"]
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.name for record in errors] == ["aiohttp.server"]


async def test_low_level_server(caplog: pytest.LogCaptureFixture) -> None:
    """On aiohttp's low-level server, which has no application, everything works but what `setup` gives."""

    @rxws.websocket
    def shout(incoming: Observable[str]) -> Observable[str]:
        return incoming.pipe(ops.map(str.upper))

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        match request.path:
            case "/accept":
                async with rxws.accept(request) as socket:
                    await socket.incoming.pipe(ops.do_action(socket.outgoing.on_next))
                return socket.response
            case "/attach":
                ws = web.WebSocketResponse()
                await ws.prepare(request)
                socket = rxws.attach(ws)
                socket.incoming.subscribe(socket.outgoing)
                await socket.closed
                return ws
            case _:
                return await shout(request)

    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"ws://127.0.0.1:{runner.addresses[0][1]}/"
        for path, answer in ("accept", "hello"), ("attach", "hello"), ("websocket", "HELLO"):
            async with rxws.connect(url + path) as client:
                client.outgoing.on_next("hello")
                assert await client.receive() == answer
        for _ in range(2):
            with pytest.raises(rxws.ConnectError) as error:
                await rxws.connect(url + "accept", headers={"Origin": "https://evil.example"})
            assert error.value.status == 403
        left = await rxws.connect(url + "accept")
    finally:
        await runner.cleanup()
    assert (await ended(left)).code in (1001, 1006)
    refusals = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert ["evil.example" in record.getMessage() for record in refusals] == [True]


@pytest.mark.parametrize("besides", [[], [ValueError("besides")]])
async def test_leaving_peer_in_a_task_group(besides: list[Exception], caplog: pytest.LogCaptureFixture) -> None:
    """The peer's `Close`, raised in a task group, ends the handler in silence; what else the group has is raised on."""

    async def handler(request: web.Request) -> web.StreamResponse:
        async with rxws.accept(request) as socket:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(socket.receive())
            except ExceptionGroup as error:
                raise ExceptionGroup("all", [*besides, error]) from None
        return socket.response

    async with serving(handler) as server, websockets.connect(server.url) as client:
        await client.close(4002)
        assert (await ended(server.sockets[0])).code == 4002
        await asyncio.sleep(0.05)
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.name for record in errors] == ["aiohttp.server"] * len(besides)


async def test_a_wrong_option_is_a_clear_error() -> None:
    with pytest.raises(TypeError, match="did you mean 'heartbeat'"):
        rxws.accept(None, hartbeat=3)  # type: ignore[call-overload]


async def test_headers_that_come_too_late(caplog: pytest.LogCaptureFixture) -> None:
    """A `def` handler may set headers and cookies; after the handshake it is an error that says so."""
    told: list[str] = []

    def early(socket: rxws.WebSocket[str, str]) -> None:
        socket.response.set_cookie("session", "1")
        socket.response.del_cookie("old")
        socket.response.headers["X-Server"] = "rxws"

    async def late(socket: rxws.WebSocket[str, str]) -> None:
        for change in (
            lambda: socket.response.set_cookie("session", "1"),
            lambda: socket.response.del_cookie("session"),
            lambda: socket.response.headers.update({"X-Server": "rxws"}),
        ):
            with pytest.raises(RuntimeError) as error:
                change()
            told.append(str(error.value))
        assert socket.response.headers["Upgrade"] == "websocket"
        raise web.HTTPForbidden

    async with serving(rxws.websocket(early)) as server, websockets.connect(server.url) as client:
        assert client.response is not None
        assert "session=1; Path=/" in client.response.headers.get_all("Set-Cookie")
        assert client.response.headers["X-Server"] == "rxws"
    async with serving(rxws.websocket(late)) as server, websockets.connect(server.url) as client:
        await client.wait_closed()
        assert client.close_code == 1011
    assert [text.partition(" comes too late: the handshake has been answered")[0] for text in told] == [
        "set_cookie",
        "del_cookie",
        "a header that is set now",
    ]
    assert "Raise it in a 'def' handler" in caplog.text
