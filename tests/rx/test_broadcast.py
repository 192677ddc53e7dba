import asyncio
from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.subject import Subject

from rxws.rx.broadcast import Hot, Outcome
from tests.streams import watch


def test_an_observer_that_raises_does_not_keep_the_item_from_the_others() -> None:
    errors: list[Exception] = []
    hot = Hot[int](errors.append)
    hot.subscribe(lambda _: 1 / 0, on_completed=lambda: [][0])
    log = watch(hot=hot)
    hot.emit(1)
    hot.end()
    assert log == [("hot", 1), "hot|"]
    assert [type(error) for error in errors] == [ZeroDivisionError, IndexError]


def test_what_is_emitted_within_a_notification_follows_it_for_all() -> None:
    hot = Hot[int](print)
    hot.subscribe(lambda value: hot.emit(value + 1) if value < 3 else None)
    log = watch(hot=hot)
    hot.emit(1)
    assert log == [("hot", 1), ("hot", 2), ("hot", 3)]


def test_an_end_within_a_notification_comes_after_it_for_all_and_once() -> None:
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


def test_an_observer_that_unsubscribes_gets_no_more_and_twice_is_once() -> None:
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


def test_an_outcome_is_the_same_for_early_and_late_subscribers() -> None:
    outcome = Outcome[int](print)
    log = watch(early=outcome)
    outcome.settle(1)
    log += watch(late=outcome)
    assert log == [("early", 1), "early|", ("late", 1), "late|"]


def test_a_subject_of_the_user_s_can_be_the_observer() -> None:
    hot, subject = Hot[int](print), Subject[int]()
    log = watch(subject=subject)
    hot.subscribe(subject)
    hot.emit(1)
    hot.end()
    assert log == [("subject", 1), "subject|"]


def test_who_comes_after_a_failure_gets_it_too() -> None:
    hot, error = Hot[int](print), ValueError()
    hot.end(error)
    hot.end()
    assert watch(late=hot) == [("late#", error)]


def test_an_observer_that_was_given_no_on_error_makes_no_second_error_of_it() -> None:
    errors: list[Exception] = []
    hot = Hot[int](errors.append)
    hot.subscribe(lambda _: None)
    log = watch(hot=hot)
    error = ValueError()
    hot.end(error)
    assert (errors, log) == ([], [("hot#", error)])


def test_a_cancelled_future_s_result_is_an_error_as_any_other() -> None:
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


def test_what_is_no_exception_but_an_exit_goes_through_and_harms_nothing() -> None:
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


def test_who_subscribes_within_a_notification_gets_what_follows() -> None:
    hot = Hot[int](print)
    log: list[Any] = []
    hot.subscribe(lambda value: log.append(watch(late=hot)) if value == 1 else None)
    hot.emit(1)
    hot.emit(2)
    hot.end()
    assert log == [[("late", 2), "late|"]]


def test_who_unsubscribes_within_a_notification_gets_no_more_and_the_others_all() -> None:
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


def test_who_subscribes_to_an_outcome_while_it_is_told_gets_all_of_it_once() -> None:
    outcome = Outcome[int](print)
    log: list[Any] = []
    outcome.subscribe(lambda value: log.append(watch(late=outcome)))
    outcome.settle(1)
    assert log == [[("late", 1), "late|"]]


def test_operators_find_one_lock_of_a_hot_stream() -> None:
    hot = Hot[int](print)
    assert hot.lock is hot.lock
    with hot.lock, hot.lock:
        pass
    log = watch(merged=hot.pipe(ops.merge(hot)))
    hot.emit(1)
    assert log == [("merged", 1), ("merged", 1)]


def test_a_subscriber_that_is_disposed_within_a_notification_gets_nothing_more_of_it() -> None:
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
