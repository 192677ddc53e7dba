"""The messages of the peer: hot, none lost at the start, every observer safe from the others."""

import asyncio
from typing import Any

import pytest
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import ReplaySubject, Subject

import rxws
from rxws.testing import MemoryWire, serve
from tests.streams import ended, turns, watch

BOTH_LOOPS = True
Socket = rxws.WebSocket[Any, Any]


def idle(incoming: Any) -> None:
    """A handler that wants no messages."""


async def waiting() -> tuple[Socket, MemoryWire]:
    """Make a socket whose handler has not subscribed yet."""

    async def handler(socket: Socket) -> None:
        await asyncio.sleep(60)

    socket, peer = serve(handler)
    await turns()
    return socket, peer


async def test_hot_after_first_subscriber() -> None:
    """Incoming is hot after the first subscriber."""
    socket, peer = await waiting()
    peer.send("a")
    first = watch(first=socket.incoming)
    await turns()
    second = watch(second=socket.incoming)
    peer.send("b")
    assert first == [("first", "a"), ("first", "b")]
    assert second == [("second", "b")]
    peer.drop()


async def test_dropped_without_subscribers() -> None:
    """When all have unsubscribed, messages are dropped, and not held again."""
    socket, peer = await waiting()
    socket.incoming.subscribe().dispose()
    await turns()
    peer.send("lost")
    log = watch(incoming=socket.incoming)
    peer.send("seen")
    assert log == [("incoming", "seen")]
    assert socket.stats.received == 2
    peer.drop()


async def test_first_subscriber_in_a_thread() -> None:
    """The first subscriber may come from another thread."""
    socket, peer = await waiting()
    peer.send("a", "b")
    log = await asyncio.to_thread(lambda: watch(incoming=socket.incoming))
    await turns()
    assert log == [("incoming", "a"), ("incoming", "b")]
    peer.drop()


async def test_incoming_never_fails() -> None:
    """Incoming completes and never fails, however the socket ends."""
    for end in (
        lambda socket, peer: socket.outgoing.on_error(ValueError()),
        lambda socket, peer: peer.violate(),
        lambda socket, peer: peer.drop(ConnectionResetError()),
    ):
        socket, peer = serve(idle)
        log = watch(incoming=socket.incoming)
        await turns()
        end(socket, peer)
        await ended(socket)
        assert log == ["incoming|"]


async def test_message_after_our_close() -> None:
    """A message that comes after our close is not emitted."""
    socket, peer = serve(idle)
    log = watch(incoming=socket.incoming)
    await turns()
    peer.mute = True
    socket.close(4001)
    peer.send("late")
    peer.close(rxws.Close(4001))
    await ended(socket)
    assert log == ["incoming|"]
    assert socket.stats.received == 0


async def test_retry() -> None:
    """A retried pipeline goes on with the next message."""

    def handler(incoming: Observable[str]) -> Observable[str]:
        return incoming.pipe(ops.map(int), ops.map(str), ops.retry())

    _, peer = serve(handler)
    peer.send("1", "two", "3")
    await turns()
    assert peer.sent == ["1", "3"]
    peer.drop()


@pytest.mark.parametrize("subject", [Subject, ReplaySubject])
async def test_subject_subscribed(subject: Any) -> None:
    """A Subject may be subscribed to incoming."""
    mine = subject()
    socket, peer = serve(lambda incoming: incoming.subscribe(mine))
    log = watch(mine=mine)
    peer.send("a")
    await turns()
    peer.drop()
    assert log == [("mine", "a"), "mine|"]


async def test_close_within_a_message() -> None:
    """The peer's close within a message comes after it for all."""
    socket, peer = serve(idle)
    socket.incoming.subscribe(lambda _: peer.close(rxws.Close(4003)))
    log = watch(incoming=socket.incoming)
    await turns()
    peer.send("a")
    peer.send("b")
    assert (await ended(socket)).code == 4003
    assert log == [("incoming", "a"), "incoming|"]


def test_subscribe_after_the_loop() -> None:
    """The first subscriber after the end of the event loop just gets the end."""

    async def live() -> Socket:
        socket, peer = await waiting()
        peer.close()
        await ended(socket)
        await turns()
        return socket

    socket = asyncio.run(live())
    assert watch(incoming=socket.incoming, closed=socket.closed) == [
        "incoming|",
        ("closed", rxws.Close.received(1005)),
        "closed|",
    ]
