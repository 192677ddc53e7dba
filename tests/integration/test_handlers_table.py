"""What a handler may be, over the wire: before the handshake, and when the peer leaves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
import websockets
from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from tests.integration.raw import TEXT, raw
from tests.integration.server import serving
from tests.streams import ended

BOTH_LOOPS = TRANSPORTS = True
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
Eventually = Callable[..., Any]


@pytest.mark.parametrize("refusal", [web.HTTPForbidden, web.HTTPNotFound, web.HTTPUnauthorized])
async def test_http_exception_of_a_def_is_the_response(refusal: type[web.HTTPException]) -> None:
    """An HTTP exception of a `def` handler is the HTTP response."""
    ends: list[Any] = []

    @rxws.websocket
    def handler(socket: rxws.WebSocket[Any, Any]) -> None:
        socket.closed.subscribe(ends.append)
        raise refusal

    async with serving(handler, max_connections=1) as server, aiohttp.ClientSession() as session:
        for _ in range(3):
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await session.ws_connect(server.url)
            assert error.value.status == refusal.status_code
        assert server.hub is not None
        assert (len(server.hub), server.hub.opened_total) == (0, 0)
    assert ends == [rxws.Close.received(1006)] * 3


async def test_http_exception_in_a_group() -> None:
    """An HTTP exception in a group, of several checks that a `def` handler makes, is the HTTP response."""

    @rxws.websocket
    def handler() -> None:
        raise ExceptionGroup("checks", [ValueError("no"), ExceptionGroup("", [web.HTTPForbidden(text="not you")])])

    async with serving(handler, max_connections=1) as server, aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.get(server.http, headers=HANDSHAKE) as response:
                assert (response.status, await response.text()) == (403, "not you")


async def test_http_exception_after_the_upgrade() -> None:
    """An HTTP exception after the upgrade is an error like any other."""

    @rxws.websocket
    async def handler() -> None:
        raise web.HTTPForbidden

    async with serving(handler) as server, websockets.connect(server.url) as client:
        with pytest.raises(websockets.ConnectionClosedError):
            await client.recv()
        assert client.close_code == 1011


async def test_no_message_is_missed_however_early_it_comes() -> None:
    @rxws.websocket
    async def handler(incoming: Observable[str], outgoing: Subject[str]) -> Observable[str]:
        await asyncio.sleep(0.1)
        return incoming

    async with serving(handler) as server, raw(server.port) as peer:
        for number in range(100):
            peer.send(TEXT, str(number).encode())
        assert [int((await peer.receive())[1]) for _ in range(100)] == list(range(100))


async def test_a_close_does_not_overtake_messages_that_wait(eventually: Eventually, transport: str) -> None:
    seen: list[str] = []

    @rxws.websocket
    async def handler(incoming: Observable[str]) -> Observable[str]:
        await asyncio.sleep(0.1)
        return incoming.pipe(ops.do_action(seen.append))

    async with serving(handler) as server, raw(server.port) as peer:
        peer.send(TEXT, b"a")
        peer.send(TEXT, b"b")
        peer.send_close(4001)
        assert (await peer.receive_close())[0] == 4001
        if transport == "asgi":  # uvicorn answers for itself
            await eventually(lambda: seen)
        assert seen == ["a", "b"]
        assert await ended(server.sockets[0]) == rxws.Close(4001)


async def test_close_waits_for_a_subscriber(eventually: Eventually) -> None:
    """A close waits for a subscriber, but no longer than the deadline."""

    @rxws.websocket(close_timeout=0.2)
    async def handler(incoming: Observable[str]) -> None:
        await asyncio.sleep(60)

    async with serving(handler) as server, raw(server.port) as peer:
        peer.send(TEXT, b"never wanted")
        peer.send_close(4001)
        await eventually(lambda: server.sockets)
        assert (await ended(server.sockets[0], 4)).code == 4001


@pytest.mark.parametrize("leave", ["close", "reset", "end of file"])
async def test_departure_cancels_an_async_def(leave: str, eventually: Eventually) -> None:
    """When the peer leaves, an `async def` handler is cancelled and cleans up."""
    steps: list[str] = []

    @rxws.websocket
    async def handler(outgoing: Subject[str]) -> None:
        try:
            steps.append("began")
            await asyncio.sleep(60)
        finally:
            steps.append("cleaned up")

    async with serving(handler) as server, raw(server.port) as peer:
        peer.send(TEXT, b"x" * 1000)
        await eventually(lambda: steps)
        match leave:
            case "close":
                peer.send_close()
            case "reset":
                peer.reset()
            case _:
                peer.writer.close()
        await eventually(lambda: steps == ["began", "cleaned up"], 4)


async def test_stubborn_handler_is_logged(caplog: pytest.LogCaptureFixture, eventually: Eventually) -> None:
    """A handler that ignores its cancellation is named in the log."""

    @rxws.websocket(close_timeout=0.05)
    async def stubborn() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.3)

    async with serving(stubborn) as server, raw(server.port) as peer:
        await eventually(lambda: server.sockets)
        peer.send_close()
        await eventually(lambda: "stubborn ignores its cancellation" in caplog.text)


async def test_generator_waits_for_a_stalled_peer(eventually: Eventually) -> None:
    """A generator waits for a peer that does not read."""
    made = 0

    @rxws.websocket
    async def handler() -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(300):
            made += 1
            yield bytes(100_000)

    async with serving(handler) as server, raw(server.port, receive_buffer=4096) as peer:
        await eventually(lambda: made > 3)
        stuck = 0
        while made > stuck:
            stuck = made
            await asyncio.sleep(0.2)
        assert stuck < 250
        assert server.sockets[0].stats.buffered_bytes < 300_000
        assert sum([len((await peer.receive())[1]) for _ in range(300)]) == 30_000_000


@pytest.mark.aiohttp_only
async def test_methods_and_views_are_handlers() -> None:
    """Methods and views are aiohttp handlers, too."""

    class Rooms:
        @rxws.websocket
        def method(self, incoming: Observable[str]) -> Observable[str]:
            return incoming.pipe(ops.map(lambda m: f"method {m}"), ops.take(1))

    class View(web.View):
        @rxws.websocket
        async def get(self, request: web.Request, incoming: Observable[str]) -> Observable[str]:
            return incoming.pipe(ops.map(lambda m: f"{request.path} {m}"), ops.take(1))

    app = web.Application()
    app.router.add_get("/method", Rooms().method)
    app.router.add_view("/view", View)
    async with serving(app=app) as server:
        for path, reply in (("method", "method hi"), ("view", "/view hi")):
            async with websockets.connect(server.url + path) as client:
                await client.send("hi")
                assert await client.recv() == reply
