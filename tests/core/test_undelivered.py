from typing import Any

from rxws.core.streams import Undelivered
from rxws.core.wire import MESSAGE_WEIGHT, Frame, Limited, Text
from tests.streams import watch


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
