from typing import Any

from rxws.core.streams import Undelivered
from rxws.core.wire import MESSAGE_WEIGHT, Frame, Limited, Text
from tests.streams import watch


def item(message: Any, **more: Any) -> Frame:
    return Limited(Text(b"x" * 36, message), **more)


def test_it_emits_and_late_subscribers_get_those_of_before() -> None:
    undelivered = Undelivered(10_000, print)
    early = watch(u=undelivered)
    undelivered.report(item(1), item(2))
    late = watch(u=undelivered)
    undelivered.report(item(3))
    undelivered.end()
    assert early == late == [("u", 1), ("u", 2), ("u", 3), "u|"]
    assert watch(u=undelivered) == early


def test_late_subscribers_get_the_newest_within_the_limit() -> None:
    undelivered = Undelivered(3 * (36 + MESSAGE_WEIGHT), print)
    undelivered.report(*map(item, range(10)))
    assert watch(u=undelivered) == [("u", 7), ("u", 8), ("u", 9)]


def test_one_that_is_heavier_than_the_limit_is_kept() -> None:
    undelivered = Undelivered(10, print)
    undelivered.report(item("heavy"))
    assert watch(u=undelivered) == [("u", "heavy")]


def test_what_the_socket_sends_again_by_itself_is_not_reported() -> None:
    undelivered = Undelivered(1000, print)
    undelivered.report(item("subscribe", connection=object()))
    assert watch(u=undelivered) == []
