"""Peers that play a script."""

from typing import Any

import reactivex
from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws.testing import run


def steady(ceiling: float) -> float:
    return ceiling


def test_congestion() -> None:
    """Congestion and what it drops are diagrams."""

    def ticks() -> Observable[str]:
        return reactivex.interval(0.1).pipe(ops.map(lambda number: "abcdefgh"[number]), ops.take(8))

    result = run(ticks, congested="--[---]", overflow="latest")
    assert result == "-a----(ef)g(h close 1000)"
    assert result.dropped == "---bcd"
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
