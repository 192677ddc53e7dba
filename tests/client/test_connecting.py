"""What `connect` returns, awaited and as a block."""

import asyncio
import contextlib
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


class StubbornDialer(MemoryDialer):
    """Ignores that it is cancelled, for ten seconds."""

    async def dial(self) -> Any:
        """Open a connection, or raise, at last."""
        until = asyncio.get_running_loop().time() + 10
        while (left := until - asyncio.get_running_loop().time()) > 0:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(left)
        return await super().dial()


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("way", ["left", "closed", "cancelled"])
async def test_attempt_that_ignores_its_cancellation(way: str, refused: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A block is left in time, whatever makes the URL; what that opens later is dropped, and nothing more is tried."""
    dialer = StubbornDialer()
    if refused:
        dialer.refusals.append(OSError("no"))
    loop = asyncio.get_running_loop()
    began, states = loop.time(), list[Any]()

    async def follow() -> None:
        async with connect(dialer, QUICK, close_timeout=2) as socket:
            socket.states.subscribe(states.append)
            await asyncio.sleep(1)
            if way == "closed":
                socket.close(4001)
                await socket.closed
            elif way == "cancelled":
                await asyncio.sleep(60)

    block = asyncio.create_task(follow())
    if way == "cancelled":
        loop.call_later(1, block.cancel)
    await asyncio.wait({block})
    assert loop.time() - began == pytest.approx(3)
    assert "ignores its cancellation" in caplog.text
    caplog.clear()
    await asyncio.sleep(30)
    assert [type(state) for state in states] == [rxws.Connecting, rxws.Closed]
    assert (dialer.attempts, [wire.aborted for wire in dialer.wires]) == (1, [] if refused else [True])
    assert (dialer.closed, caplog.text) == (True, "")
