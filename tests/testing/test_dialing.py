"""A network for clients, in memory, and its peers."""

import asyncio
from typing import Any

import pytest
import reactivex
from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws.client.reconnect import Dialed
from rxws.testing import MemoryDialer, connect, run
from tests.streams import turns

VIRTUAL = True


async def test_refusals_come_first() -> None:
    """Attempts meet the refusals in their order, and then open."""
    dialer = MemoryDialer()
    dialer.refusals.extend([OSError("first"), OSError("second")])
    for text in ("first", "second"):
        with pytest.raises(OSError, match=text):
            await dialer.dial()
    wire = (await dialer.dial()).wire
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
    assert await dial == Dialed(dialer.peer, "v1")


async def test_closed_with_its_client() -> None:
    """A client closes its dialer when it is done."""
    dialer = MemoryDialer()
    async with connect(dialer, heartbeat=None) as socket:
        assert isinstance(socket, rxws.ClientWebSocket)
        assert not dialer.closed
    assert dialer.closed


# Peers that play a script


def steady(ceiling: float) -> float:
    return ceiling


def test_congestion() -> None:
    """Congestion and what it drops are diagrams."""

    def ticks() -> Observable[str]:
        return reactivex.interval(0.1).pipe(ops.map(lambda number: "abcdefgh"[number]), ops.take(8))

    result = run(ticks, congested="--[---]", overflow="latest")
    assert result == "-a----(ef)g(h close 1000)"
    assert result.dropped == "---bcd"
    assert run(ticks, "-", congested="--[---]", overflow="latest") == "-a----(ef)g", "it ends with the longest diagram"
    assert run(ticks, congested="--[", max_buffered=130) == "-a 5.2s (close 1013)"


async def follow(socket: rxws.ClientWebSocket[Any, Any]) -> None:
    socket.outgoing.on_next("s")
    async for message in socket:
        socket.outgoing.on_next(message.upper())


def test_used_up_peers() -> None:
    """A client whose peers are used up waits, and one that gives up is closed."""
    backoff = rxws.Backoff(initial=0.5, jitter=steady)
    assert run(follow, ["-a-#"], reconnect=backoff).states == "(CO)--W----C"
    refused = run(follow, [rxws.ConnectError("no", "http", status=404)], reconnect=backoff)
    assert refused == "(close 1006)"
    assert refused.states == "(C|)"
