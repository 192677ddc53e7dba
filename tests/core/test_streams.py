"""The streams of a socket: messages are hot and none is lost at the start, errors, what was not delivered."""

import asyncio
import threading
from typing import Any

import pytest
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import ReplaySubject, Subject

import rxws
from rxws.core.streams import Undelivered
from rxws.core.wire import MESSAGE_WEIGHT, Frame, Limited, Text
from rxws.rx.loop_thread import MAX_HANDED_OVER
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


@pytest.mark.parametrize("value", ["text", None, KeyboardInterrupt(), ValueError])
async def test_errors_takes_exceptions(value: Any) -> None:
    """The errors stream takes exceptions only, and says so."""
    socket, peer = serve(lambda incoming: None)
    with pytest.raises(TypeError, match="errors takes exceptions, not"):
        socket.errors.on_next(value)
    assert peer.close_sent is None


# Errors


async def test_observer_that_left() -> None:
    """An observer that left observes no more."""
    socket, peer = serve(idle, codec=rxws.json)
    seen: list[Exception] = []
    socket.errors.subscribe(seen.append).dispose()
    peer.send("{")
    assert (await ended(socket)).code == 1007
    assert seen == []


async def test_error_within_error() -> None:
    """An error pushed within an error follows it."""
    socket, peer = serve(idle)
    first, second = ValueError(), KeyError()
    socket.errors.subscribe(lambda error: socket.errors.on_next(second) if error is first else None)
    log = watch(errors=socket.errors)
    socket.errors.on_next(first)
    assert log == [("errors", first), ("errors", second)]
    peer.drop()


async def test_error_after_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """An error pushed after the end is logged, not swallowed."""
    socket, peer = serve(idle)
    await turns()
    peer.close()
    await ended(socket)
    socket.errors.on_next(ValueError("late"))
    assert [record.getMessage() for record in caplog.records] == ["ValueError('late'), which nobody observed (memory)"]


async def test_error_of_a_thread_ahead(caplog: pytest.LogCaptureFixture) -> None:
    """An error of a thread that runs ahead is logged, not swallowed."""
    socket, peer = serve(idle, overflow="drop_newest")
    log = watch(errors=socket.errors)

    def work() -> None:
        for _ in range(MAX_HANDED_OVER):
            socket.outgoing.on_next("x")
        socket.errors.on_next(ValueError("ahead"))

    worker = threading.Thread(target=work)  # the event loop waits for it
    worker.start()
    worker.join()
    await turns()
    assert (log, len(caplog.records)) == ([], 1)
    assert "ValueError('ahead'), which nobody observed" in caplog.text
    peer.drop()


# Undelivered


def item(message: Any, **more: Any) -> Frame:
    return Limited(Text(b"x" * 36, message), **more)


def test_undelivered_is_replayed() -> None:
    """Undelivered emits, and late subscribers get what came before."""
    undelivered = Undelivered(10_000, print)
    early = watch(u=undelivered)
    undelivered.report(item(1), item(2))
    late = watch(u=undelivered)
    undelivered.report(item(3))
    undelivered.end()
    assert early == late == [("u", 1), ("u", 2), ("u", 3), "u|"]
    assert watch(u=undelivered) == early


def test_undelivered_is_bounded() -> None:
    """Late subscribers get the newest ones within the limit."""
    undelivered = Undelivered(3 * (36 + MESSAGE_WEIGHT), print)
    undelivered.report(*map(item, range(10)))
    assert watch(u=undelivered) == [("u", 7), ("u", 8), ("u", 9)]


def test_heavy_undelivered() -> None:
    """A message that is heavier than the limit is kept."""
    undelivered = Undelivered(10, print)
    undelivered.report(item("heavy"))
    assert watch(u=undelivered) == [("u", "heavy")]


def test_resent_is_not_undelivered() -> None:
    """What the socket sends again by itself is not reported."""
    undelivered = Undelivered(1000, print)
    undelivered.report(item("subscribe", connection=object()))
    assert watch(u=undelivered) == []
