from typing import Any

import pytest
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.rx.holds import Chosen, current_source, notify_from, socket_of, sources_to_hold
from tests.operators.jobs import Owner
from tests.streams import watch


class Taker:
    """One who sees in whose name it gets items."""

    def __init__(self, stream: Any) -> None:
        self.sources = list[Any]()
        stream.subscribe(lambda _: self.sources.append(current_source.get()))


def test_items_pass_unchanged() -> None:
    """Items, errors and completion pass; with nobody to hold, nothing is said."""
    for action in ("hold", "overflow"):
        numbers = Subject[int]()
        log = watch(r=numbers.pipe(rxops.when_full(action)))
        taker = Taker(numbers.pipe(rxops.when_full("hold")))
        numbers.on_next(1)
        numbers.on_completed()
        assert log == [("r", 1), "r|"]
        assert taker.sources == [None]
        assert current_source.get() is None


def test_the_last_one_counts() -> None:
    """What is nearest to the socket decides; the source can still be held, released and told by others."""
    items, source, socket = Subject[int](), Owner(), Owner()
    taker = Taker(items.pipe(rxops.when_full("overflow"), rxops.when_full("hold")))
    other = Taker(items.pipe(rxops.when_full("hold"), rxops.when_full("overflow")))
    for item in (1, 2):
        notify_from(source, items.on_next, item)
    first, second = taker.sources
    assert isinstance(first, Chosen)
    assert first is second, "one object for each source"
    assert sources_to_hold(socket, first, lossless=False) == (source,)
    assert sources_to_hold(socket, other.sources[0], lossless=True) == ()
    first.hold()
    assert source._held == 1
    first.release()
    first.report(ValueError("no"))
    assert (source._held, len(source.reported), first.gone, socket_of(first)) == (0, 1, False, source)
    another = Owner()
    notify_from(another, items.on_next, 3)
    assert sources_to_hold(socket, taker.sources[2], lossless=True) == (another,)


def test_a_wrong_action() -> None:
    with pytest.raises(ValueError, match="action must be one of 'hold', 'overflow', not 'wait'"):
        rxws.operators.when_full("wait")
