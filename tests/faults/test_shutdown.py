"""The application's end, whatever its peers do."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import websockets
from aiohttp import web
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from tests.faults.measures import descriptors
from tests.integration.raw import TEXT, raw
from tests.integration.server import serving

BOTH_LOOPS = True
Eventually = Callable[..., Any]


async def test_shutdown_takes_2_seconds(eventually: Eventually) -> None:
    """A hundred sockets, some stalled and some mute, close with 1001 within 2 seconds of the shutdown.

    On a busy machine within 4. With every default: `close_timeout` would be five seconds.
    """
    room = Subject[bytes]()
    handler = rxws.websocket(max_buffered=10_000_000)(lambda: room)
    files = descriptors()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(handler))
        stalled = [await stack.enter_async_context(raw(server.port, receive_buffer=4096)) for _ in range(5)]
        for _ in range(5):
            room.on_next(bytes(1_000_000))
        mute = [await stack.enter_async_context(raw(server.port)) for _ in range(5)]
        readers = [await stack.enter_async_context(websockets.connect(server.url, max_size=None)) for _ in range(90)]
        await eventually(lambda: len(server.sockets) == 100)
        began = time.monotonic()
        await server.runner.cleanup()
        assert time.monotonic() - began < 4
        codes = []
        for reader in readers:
            await reader.wait_closed()
            codes.append(reader.close_code)
        assert codes == [1001] * 90
        assert [(await peer.receive_close())[0] for peer in mute] == [1001] * 5
        assert server.hub is not None
        assert (len(server.hub), server.hub.closed_total) == (0, {1001: 100})
        assert all([await socket.undelivered.pipe(ops.count()) for socket in server.sockets[:5]])
        assert len(stalled) == 5
    assert room.observers == []
    await eventually(lambda: descriptors() <= files + 5)  # the event loop has some of its own


@pytest.mark.parametrize("before", ["a message is on its way", "the handler works", "a close has begun"])
async def test_busy_socket_ends_in_time(before: str, eventually: Eventually) -> None:
    """A socket in the middle of something ends in time when the application shuts down."""

    async def busy(incoming: Any) -> None:
        await asyncio.sleep(60)

    handler = busy if before == "the handler works" else lambda incoming: incoming
    async with serving(rxws.websocket(handler), shutdown_timeout=0.3) as server, raw(server.port) as peer:
        await eventually(lambda: server.sockets)
        match before:
            case "a message is on its way":
                peer.send(TEXT, b"begin", fin=False)
            case "a close has begun":
                server.sockets[0].close(4001)
            case _:
                pass
        began = time.monotonic()
        await server.runner.cleanup()
        assert time.monotonic() - began < 4


async def test_shutdown_timeout_gives_peers_time(eventually: Eventually) -> None:
    """With a longer `shutdown_timeout`, slow peers get the time they need."""
    room = Subject[bytes]()
    handler = rxws.websocket(max_buffered=10_000_000)(lambda: room)
    async with serving(handler, shutdown_timeout=10) as server, raw(server.port, receive_buffer=4096) as peer:
        await eventually(lambda: room.observers)
        for _ in range(50):
            room.on_next(bytes(100_000))
        closing = asyncio.create_task(server.runner.cleanup())
        await asyncio.sleep(1.5)
        assert not closing.done()
        seen = 0
        while (await asyncio.wait_for(peer.receive(), 10))[0] == 2:
            seen += 1
        assert seen == 50
        peer.send_close(1001)
        peer.writer.close()
        await closing


@pytest.mark.parametrize(
    ("timeout", "kind", "message"),
    [(0, ValueError, "a positive number of seconds, not 0"), ("1", TypeError, "a positive number of seconds, not '1'")],
)
async def test_wrong_shutdown_timeout_is_a_clear_error(timeout: Any, kind: type[Exception], message: str) -> None:
    """A wrong `shutdown_timeout` is a clear error at setup."""
    with pytest.raises(kind, match=message):
        rxws.setup(web.Application(), shutdown_timeout=timeout)
