from typing import Any

from reactivex.subject import Subject

from rxws.broadcast import Hot, Outcome
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
    outcome.settle(1, 2)
    log += watch(late=outcome)
    assert log == [("early", 1), ("early", 2), "early|", ("late", 1), ("late", 2), "late|"]


def test_a_subject_of_the_user_s_can_be_the_observer() -> None:
    hot, subject = Hot[int](print), Subject[int]()
    log = watch(subject=subject)
    hot.subscribe(subject)
    hot.emit(1)
    hot.end()
    assert log == [("subject", 1), "subject|"]
