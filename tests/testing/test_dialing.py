"""A network for clients, in memory."""

import asyncio

import pytest

import rxws
from rxws.testing import MemoryDialer, connect
from tests.streams import turns

VIRTUAL = True


async def test_refusals_come_first() -> None:
    """Attempts meet the refusals in their order, and then open."""
    dialer = MemoryDialer()
    dialer.refusals.extend([OSError("first"), OSError("second")])
    for text in ("first", "second"):
        with pytest.raises(OSError, match=text):
            await dialer.dial()
    wire, _ = await dialer.dial()
    assert (dialer.attempts, dialer.wires, dialer.peer) == (3, [wire], wire)


async def test_answering() -> None:
    """Attempts wait while nobody answers."""
    dialer = MemoryDialer()
    dialer.protocol = "v1"
    dialer.answering.clear()
    dial = asyncio.create_task(dialer.dial())
    await turns()
    assert (dialer.attempts, dialer.wires, dial.done()) == (1, [], False)
    dialer.answering.set()
    assert await dial == (dialer.peer, "v1")


async def test_closed_with_its_client() -> None:
    """A client closes its dialer when it is done."""
    dialer = MemoryDialer()
    async with connect(dialer, heartbeat=None) as socket:
        assert isinstance(socket, rxws.ClientWebSocket)
        assert not dialer.closed
    assert dialer.closed
