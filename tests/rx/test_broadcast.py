import asyncio
import threading
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.subject import Subject

from rxws.errors import FeedbackLoop
from rxws.rx.broadcast import Hot, Outcome, Replaying
from tests.streams import raising, watch
from tests.threads import preempted


def test_observer_raises() -> None:
    """An observer that raises does not keep the item from the others."""
    errors: list[Exception] = []
    hot = Hot[int](errors.append)
    hot.subscribe(lambda _: 1 / 0, on_completed=lambda: [][0])
    log = watch(hot=hot)
    hot.emit(1)
    hot.end()
    assert log == [("hot", 1), "hot|"]
    assert [type(error) for error in errors] == [ZeroDivisionError, IndexError]


def test_emit_within_emit() -> None:
    """What is emitted within a notification follows it for all."""
    hot = Hot[int](print)
    hot.subscribe(lambda value: hot.emit(value + 1) if value < 3 else None)
    log = watch(hot=hot)
    hot.emit(1)
    assert log == [("hot", 1), ("hot", 2), ("hot", 3)]


def echo(value: int) -> None:
    """What an error names: a subscriber."""


@pytest.mark.parametrize("each", [1, 3, 300])
def test_stream_that_feeds_itself_is_cut(each: int) -> None:
    """It is cut after a bounded number of items, reported once, and may be used again."""
    errors: list[Exception] = []
    hot = Hot[int](errors.append)
    seen: list[int] = []

    def feed(value: int) -> None:
        assert len(seen) < 3000, "it would never end"
        seen.append(value)
        if value > 0:
            for _ in range(each):
                hot.emit(value + 1)

    hot.subscribe(feed)
    hot.subscribe(echo)
    hot.emit(1)
    (error,) = errors
    assert isinstance(error, FeedbackLoop)
    assert len(seen) == 1001
    assert "one item caused 1001" in str(error)
    assert "test_stream_that_feeds_itself_is_cut.<locals>.feed, echo" in str(error)
    assert (error.item == 1002, error.close_code) == (each == 1, 1011)
    hot.emit(0)
    assert (seen[1001:], len(errors)) == ([0], 1)


def test_what_comes_of_the_cut_is_cut_too() -> None:
    errors: list[Exception] = []

    def report(error: Exception) -> None:
        errors.append(error)
        hot.emit(error)

    def feed(error: Exception) -> None:
        if next(turns) < 3000:
            hot.emit(error)

    turns = count()
    hot = Hot[Exception](report)
    hot.subscribe(feed)
    hot.emit(ValueError("first"))
    assert next(turns) == 1001
    assert [type(error) for error in errors] == [FeedbackLoop]


def test_burst_within_emit() -> None:
    """Many items within one notification are not a loop."""
    hot = Hot[int](lambda error: pytest.fail(str(error)))
    hot.subscribe(lambda value: [hot.emit(number) for number in range(1, 1001)] if value == 0 else None)
    log = watch(hot=hot)
    hot.emit(0)
    hot.emit(0)
    assert log == [("hot", number) for number in range(1001)] * 2


def test_end_within_emit() -> None:
    """An end within a notification comes after it for all, and once."""
    hot = Hot[int](print)

    def end(value: int) -> None:
        if value > 1:
            return
        hot.emit(2)
        hot.end()
        hot.emit(3)
        hot.end(ValueError())
        hot.subscribe(log.append, on_completed=lambda: log.append("late|"))

    log: list[Any] = []
    hot.subscribe(end)
    log.append(watch(hot=hot))
    hot.emit(1)
    hot.emit(4)
    assert log == [[("hot", 1), ("hot", 2), "hot|"], "late|"]


def test_unsubscribe() -> None:
    """An observer that unsubscribes gets no more, and doing it twice is harmless."""
    hot = Hot[int](print)
    seen: list[int] = []
    subscription = hot.subscribe(seen.append)
    hot.emit(1)
    subscription.dispose()
    subscription.dispose()
    hot.emit(2)
    assert seen == [1]


def test_an_error_ends_all_observers() -> None:
    hot, error = Hot[int](print), ValueError()
    log = watch(a=hot, b=hot)
    hot.end(error)
    assert log == [("a#", error), ("b#", error)]


def test_outcome() -> None:
    """An outcome is the same for early and late subscribers."""
    outcome = Outcome[int](print)
    log = watch(early=outcome)
    outcome.settle(1)
    log += watch(late=outcome)
    assert log == [("early", 1), "early|", ("late", 1), "late|"]


def test_subject_as_observer() -> None:
    """A Subject of the user can be the observer."""
    hot, subject = Hot[int](print), Subject[int]()
    log = watch(subject=subject)
    hot.subscribe(subject)
    hot.emit(1)
    hot.end()
    assert log == [("subject", 1), "subject|"]


def test_late_failure() -> None:
    """Who comes after a failure gets it too."""
    hot, error = Hot[int](print), ValueError()
    hot.end(error)
    hot.end()
    assert watch(late=hot) == [("late#", error)]


def test_no_on_error() -> None:
    """An observer that was given no on_error does not make a second error of it."""
    errors: list[Exception] = []
    hot = Hot[int](errors.append)
    hot.subscribe(lambda _: None)
    log = watch(hot=hot)
    error = ValueError()
    hot.end(error)
    assert (errors, log) == ([], [("hot#", error)])


def test_cancelled_future() -> None:
    """The result of a cancelled future is an error as any other."""
    errors: list[Exception] = []
    hot = Hot[int](errors.append)
    future: asyncio.Future[int] = asyncio.Future(loop=asyncio.new_event_loop())
    future.cancel()
    hot.subscribe(lambda _: print(future.result()))
    log = watch(hot=hot)
    hot.emit(1)
    future.get_loop().close()
    assert log == [("hot", 1)]
    assert [(type(error), type(error.__cause__)) for error in errors] == [(RuntimeError, asyncio.CancelledError)]


def test_exit_passes() -> None:
    """An exit that is not an Exception goes through and harms nothing."""
    hot = Hot[int](print)

    def leave(value: int) -> None:
        if value == 1:
            raise KeyboardInterrupt

    hot.subscribe(leave)
    log = watch(hot=hot)
    with pytest.raises(KeyboardInterrupt):
        hot.emit(1)
    hot.emit(2)
    hot.end()
    assert log == [("hot", 2), "hot|"]


def test_subscribe_within_emit() -> None:
    """Who subscribes within a notification gets what follows."""
    hot = Hot[int](print)
    log: list[Any] = []
    hot.subscribe(lambda value: log.append(watch(late=hot)) if value == 1 else None)
    hot.emit(1)
    hot.emit(2)
    hot.end()
    assert log == [[("late", 2), "late|"]]


def test_unsubscribe_within_emit() -> None:
    """Who unsubscribes within a notification gets no more, and the others get all."""
    hot = Hot[int](print)
    seen: list[int] = []

    def once(value: int) -> None:
        seen.append(value)
        subscription.dispose()

    subscription = hot.subscribe(once)
    log = watch(hot=hot)
    hot.emit(1)
    hot.emit(2)
    assert (seen, log) == ([1], [("hot", 1), ("hot", 2)])


def test_subscribe_within_outcome() -> None:
    """Who subscribes to an outcome while it is emitted gets all of it once."""
    outcome = Outcome[int](print)
    log: list[Any] = []
    outcome.subscribe(lambda value: log.append(watch(late=outcome)))
    outcome.settle(1)
    assert log == [[("late", 1), "late|"]]


def test_one_lock() -> None:
    """Operators find one lock of a hot stream."""
    hot = Hot[int](print)
    assert hot.lock is hot.lock
    with hot.lock, hot.lock:
        pass
    log = watch(merged=hot.pipe(ops.merge(hot)))
    hot.emit(1)
    assert log == [("merged", 1), ("merged", 1)]


def test_disposed_within_emit() -> None:
    """A subscriber that is disposed within a notification gets nothing more of it."""
    hot = Hot[int](print)
    seen: list[str] = []

    def first(value: int) -> None:
        seen.append(f"first {value}")
        second.dispose()
        second.dispose()

    hot.subscribe(first)
    second = hot.subscribe(lambda value: seen.append(f"second {value}"), on_completed=lambda: seen.append("ended"))
    hot.emit(1)
    hot.end()
    assert seen == ["first 1"]


def test_a_subscriber_ends_once() -> None:
    hot = Hot[int](print)
    seen: list[str] = []
    subscriber: Any = hot.subscribe(None, lambda error: seen.append(repr(error)), lambda: seen.append("completed"))
    hot.emit(1)
    hot.end(ValueError("lost"))
    subscriber.on_completed()
    subscriber.on_error(ValueError("again"))
    assert seen == ["ValueError('lost')"]


STREAMS: list[tuple[Callable[[], Any], Callable[[Any], object], list[Any]]] = [
    (lambda: Hot(print), lambda hot: hot.end(), ["|"]),
    (lambda: Outcome(print), lambda outcome: outcome.settle(1), [1, "|"]),
    (lambda: Replaying(5, print), lambda stream: [*map(stream.emit, (1, 2)), stream.end()], [1, 2, "|"]),
]


@pytest.mark.parametrize(("make", "act", "expected"), STREAMS, ids=["hot", "outcome", "replaying"])
def test_subscribe_in_another_thread(
    make: Callable[[], Any], act: Callable[[Any], object], expected: list[Any]
) -> None:
    """One who subscribes in another thread gets each value and the end once, whatever comes meanwhile."""
    for line in count(1):
        stream, log = make(), list[Any]()
        subscribe = partial(stream.subscribe, log.append, print, lambda log=log: log.append("|"))
        came = preempted(subscribe, partial(act, stream), line)
        assert log == expected, f"line {line}"
        if not came:
            break


def test_replay_in_its_order() -> None:
    """What an observer causes while it gets what was kept follows that."""
    stream = Replaying[int](2, print)
    for number in range(3):
        stream.emit(number)
    log: list[Any] = []

    def note(number: int) -> None:
        log.append(number)
        if number == 1:
            stream.emit(3)
        if number == 3:
            stream.end(LookupError())

    stream.subscribe(note, log.append)
    assert log[:3] == [1, 2, 3]
    assert isinstance(log[3], LookupError)


def test_late_subscriber_that_raises_has_left() -> None:
    """A subscriber that raises over what was kept, and so gets no subscription, is forgotten: nothing waits for it."""
    stream = Replaying[int](5, print)
    stream.emit(1)
    with pytest.raises(LookupError):
        stream.subscribe(raising(LookupError()))
    assert not stream.observed


async def test_await_on_another_loop() -> None:
    """An outcome wakes those who wait for it on other event loops; one that is closed costs nobody anything."""
    outcome, ready = Outcome[int](print), threading.Barrier(2)

    async def wait() -> int:
        loop = asyncio.get_running_loop()
        loop.call_soon(ready.wait)
        began = loop.time()
        async with asyncio.timeout(5):
            value = await outcome
        assert loop.time() - began < 4, "it was the timeout that woke it"
        return value

    async def leave() -> None:
        outcome.__await__()

    await asyncio.to_thread(asyncio.run, leave())
    waiting = asyncio.ensure_future(asyncio.to_thread(asyncio.run, wait()))
    await asyncio.to_thread(ready.wait)
    outcome.settle(1)
    assert (await waiting, await outcome) == (1, 1)


def test_replayed_before_it_was_emitted() -> None:
    """A value that was kept, and is emitted only then, comes once: who subscribes in another thread may see that."""
    stream, log = Replaying[str](5, print), list[str]()
    stream.emit("a")
    stream.subscribe(log.append)
    stream._broadcast.emit((1, "a"))
    stream.emit("b")
    assert log == ["a", "b"]
