"""A message that has been dealt with is free: no socket and no process keeps the last one alive."""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from reactivex import Observable

import rxws
from rxws import operators as rxops
from tests.integration.raw import BINARY, TEXT, raw
from tests.integration.server import serving

BOTH_LOOPS = True
SIZE = 4 * 2**20


def hears(incoming: Observable[Any]) -> None:
    incoming.subscribe(lambda message: None)


def echoes(incoming: Observable[Any]) -> Observable[Any]:
    return incoming


def maps(incoming: Observable[Any]) -> Observable[Any]:
    async def same(message: Any) -> Any:
        return message

    return incoming.pipe(rxops.map_async(same), rxops.buffered(5))


async def iterates(socket: rxws.WebSocket[Any, Any]) -> None:
    async for message in socket:
        socket.outgoing.on_next(message)
        del message


async def generates(socket: rxws.WebSocket[Any, Any]) -> AsyncIterator[Any]:
    async for message in socket:
        yield message
        del message


def goes_through_an_iterable(incoming: Observable[Any]) -> Observable[Any]:
    return rxops.from_async_iterable(rxops.to_async_iterable(incoming))


@pytest.fixture
def _traced() -> Iterator[None]:
    gc.collect()
    tracemalloc.start()
    gc.disable()
    yield
    gc.enable()
    tracemalloc.stop()


@pytest.mark.usefixtures("_traced")
@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("handler", [hears, echoes, maps, iterates, generates, goes_through_an_iterable])
async def test_last_message_is_not_kept(handler: Any, opcode: int, eventually: Callable[..., Any]) -> None:
    """When a large message has come, and gone, nothing of it is left while its socket waits for the next one."""
    options = {"max_msg_size": 2 * SIZE, "max_buffered": 4 * SIZE}
    async with serving(rxws.websocket(**options)(handler)) as server, raw(server.port) as peer:
        await eventually(lambda: server.sockets)
        before = tracemalloc.get_traced_memory()[0]
        peer.send(opcode, b"x" * SIZE)
        if handler is not hears:
            assert (await asyncio.wait_for(peer.receive(), 10))[0] == opcode
        await eventually(lambda: server.sockets[0].stats.received == 1)
        await eventually(lambda: tracemalloc.get_traced_memory()[0] - before < SIZE // 8, timeout=5)
