"""The streams of a socket that tell what went wrong: errors, and what was not delivered."""

import threading
from typing import Any

import pytest

import rxws
from rxws.core.streams import Undelivered
from rxws.core.wire import MESSAGE_WEIGHT, Frame, Limited, Text
from rxws.rx.loop_thread import MAX_HANDED_OVER
from rxws.testing import serve
from tests.streams import ended, turns, watch

BOTH_LOOPS = True
Socket = rxws.WebSocket[Any, Any]


def idle() -> None:
    """A handler that wants no messages."""


@pytest.mark.parametrize("value", ["text", None, KeyboardInterrupt(), ValueError])
async def test_errors_takes_exceptions(value: Any) -> None:
    """The errors stream takes exceptions only, and says so."""
    socket, peer = serve(lambda: None)
    with pytest.raises(TypeError, match="errors takes exceptions, not"):
        socket.errors.on_next(value)
    assert peer.close_sent is None


async def test_streams_asked_for_late(caplog: pytest.LogCaptureFixture) -> None:
    """A stream that nobody asks for before the end has ended; an error that comes late is logged."""
    socket, peer = serve(idle)
    await turns()
    peer.drop()
    await ended(socket)
    late = {"errors": socket.errors, "undelivered": socket.undelivered, "dropped": socket.dropped}
    assert watch(**late) == ["errors|", "undelivered|", "dropped|"]
    socket.errors.on_next(ValueError("late"))
    assert "ValueError('late'), which nobody observed" in caplog.text


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
