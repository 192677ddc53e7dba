"""What `connect` returns, awaited and as a block."""

import asyncio
from typing import Any

import pytest

import rxws
from rxws.testing import MemoryDialer, connect
from tests.streams import ended, opened, turns, watch

VIRTUAL = True


QUICK = rxws.Backoff(initial=0.001, maximum=0.001)


async def test_block_raises() -> None:
    """A block that raises closes 1011, and the error goes on."""
    dialer = MemoryDialer()

    async def follow(error: Exception) -> None:
        async with connect(dialer, QUICK) as socket:
            await opened(socket)
            raise error

    with pytest.raises(LookupError):
        await follow(LookupError())
    assert dialer.peer.close_sent == rxws.Close(1011, "Unexpected Error")
    await follow(rxws.Close(4001, "bye"))
    assert dialer.peer.close_sent == rxws.Close(4001, "bye")


async def test_single_refused() -> None:
    """A single connection that is refused raises."""
    dialer = MemoryDialer()
    dialer.refusals.append(rxws.ConnectError("nobody there", "tcp"))
    with pytest.raises(rxws.ConnectError, match="nobody there"):
        await connect(dialer)
    assert dialer.closed


async def test_single_ends() -> None:
    """A single connection ends with its socket."""
    dialer = MemoryDialer()
    async with connect(dialer) as socket:
        log = watch(s=socket.states)
        dialer.peer.close(rxws.Close(1012))
        await ended(socket)
    assert dialer.attempts == 1
    assert log == [("s", rxws.Open(None, 1)), ("s", rxws.Closed(rxws.Close(1012))), "s|"]


async def test_a_cancelled_block_ends_at_once() -> None:
    dialer = MemoryDialer()
    sockets: list[Any] = []

    async def follow() -> None:
        async with connect(dialer, QUICK) as socket:
            sockets.append(socket)
            await asyncio.sleep(60)

    task = asyncio.create_task(follow())
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ended(sockets[0]) == rxws.Close.received(1006)
    assert dialer.closed


async def test_connect_can_be_used_once() -> None:
    connecting = connect(MemoryDialer(), QUICK)
    async with connecting:
        with pytest.raises(RuntimeError, match="was used before"):
            await connecting
