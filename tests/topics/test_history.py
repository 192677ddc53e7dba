"""The seam, with an engine that reads as slowly as a test wants."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from reactivex import abc
from reactivex.disposable import Disposable

from rxws.topics.engines.engine import Last, Since
from rxws.topics.history import BEGINNING, MAX_PENDING, Seam
from rxws.topics.message import Gap, Position


class Item(NamedTuple):
    position: Position


def item(number: int) -> Item:
    return Item(Position(1, number))


class Script:
    """A seam, what was asked of its engine, and what it has emitted."""

    def __init__(self) -> None:
        self.asked: list[Last | Since] = []
        self.emitted: list[Any] = []
        self.disposed = 0
        self.seam = Seam[Item](self.emit, self.read)

    def emit(self, item: Item | Gap) -> None:
        self.emitted.append("gap" if isinstance(item, Gap) else item.position.number)

    def read(self, start: Last | Since, seam: Seam[Item]) -> abc.DisposableBase:
        self.asked.append(start)
        return Disposable(self.count)

    def count(self) -> None:
        self.disposed += 1


def test_live_messages_wait_for_kept_ones() -> None:
    """Live messages wait for those that were kept, and doubles are dropped."""
    script = Script()
    script.seam.begin(Last(3))
    for number in (3, 4, 5):
        script.seam.take(item(number))
    script.seam.batch([item(2), item(3)])
    assert script.emitted == [2, 3]
    script.seam.batch([item(4)])
    script.seam.caught_up()
    script.seam.take(item(6))
    script.seam.take(item(6))
    assert (script.emitted, script.asked) == ([2, 3, 4, 5, 6], [Last(3)])


def test_waiting_messages_beyond_the_limit_are_read_again() -> None:
    """Live messages beyond the limit are read again, and none is lost."""
    script = Script()
    script.seam.begin(Since(Position(1, 1)))
    for number in range(2, MAX_PENDING + 10):
        script.seam.take(item(number))
    script.seam.batch([item(2)])
    script.seam.caught_up()
    assert script.asked[1:] == [Since(Position(1, 2))]
    script.seam.batch([item(number) for number in range(3, MAX_PENDING + 10)])
    script.seam.caught_up()
    assert script.emitted == [*range(2, MAX_PENDING + 10)]


def test_waiting_messages_before_any_was_read_may_be_a_gap() -> None:
    """Live messages beyond the limit, before anything was read, may be a gap."""
    script = Script()
    script.seam.begin(Last(1))
    for number in range(MAX_PENDING + 1):
        script.seam.take(item(number))
    script.seam.caught_up()
    assert script.asked == [Last(1), Since(BEGINNING)]


def test_a_doubt_is_resolved_by_reading_on() -> None:
    script = Script()
    script.seam.doubt()
    script.seam.caught_up()
    script.seam.take(item(1))
    script.seam.doubt()
    script.seam.take(item(3))
    script.seam.doubt()
    script.seam.batch([item(2)])
    script.seam.caught_up()
    script.seam.caught_up()
    assert script.asked == [Since(BEGINNING), Since(Position(1, 1)), Since(Position(1, 2))]
    assert script.emitted == [1, 2, 3]


def test_gaps_pass_in_their_place() -> None:
    """Gaps pass in their place, and a new epoch goes on."""
    script = Script()
    script.seam.begin(Since(None))
    script.seam.batch([item(7), Gap("a", "1-7", "why")])
    script.seam.caught_up()
    script.seam.take(Item(Position(2, 1)))
    script.seam.take(Gap("a", "2-1", "why", anew=True))
    script.seam.take(Item(Position(1, 1)))
    assert script.emitted == [7, "gap", 1, "gap", 1]


def test_live_gap_before_what_was_read_doubles_nothing() -> None:
    """A new epoch that reading has found already is not begun once more by the live gap that tells of it."""
    script = Script()
    script.seam.begin(Since(None))
    script.seam.take(Gap("a", "1-7", "why", anew=True))
    script.seam.take(Item(Position(2, 1)))
    script.seam.batch([Item(Position(2, 1))])
    script.seam.caught_up()
    assert script.emitted == [1]


def test_after_it_is_disposed_nothing_is_emitted() -> None:
    script = Script()
    script.seam.begin(Since(None))
    script.seam.take(item(1))
    script.seam.dispose()
    script.seam.caught_up()
    script.seam.take(item(2))
    assert (script.emitted, script.disposed) == ([], 1)


def test_live_messages_before_the_last_kept_ones() -> None:
    """Live messages that are older than the last ones that were kept are not lost."""
    script = Script()
    script.seam.begin(Last(1))
    for number in (1, 2, 3):
        script.seam.take(item(number))
    script.seam.batch([item(3)])
    script.seam.caught_up()
    assert script.emitted == [1, 2, 3]


@pytest.mark.parametrize("live", [[1, 2], [1, 2, "gap"], [1, 2, 7]])
def test_live_messages_far_before_the_last_kept_ones(live: list[Any]) -> None:
    """If more were published between live messages and the last ones that were kept, these are read, too."""
    script = Script()
    script.seam.begin(Last(2))
    for one in live:
        script.seam.take(Gap("a", "1-2", "why") if one == "gap" else item(one))
    script.seam.batch([item(5)])
    script.seam.batch([item(6)])
    script.seam.caught_up()
    assert (script.emitted, script.asked) == ([1, 2], [Last(2), Since(Position(1, 2))])
    script.seam.batch([item(number) for number in (3, 4, 5, 6, 7)])
    script.seam.caught_up()
    assert [one for one in script.emitted if one != "gap"] == [1, 2, 3, 4, 5, 6, 7]


def test_live_messages_before_a_new_epoch() -> None:
    """Live messages of before a new epoch do not come after its gap."""
    script = Script()
    script.seam.begin(Since(Position(1, 7)))
    script.seam.take(Item(Position(1, 8)))
    script.seam.take(Item(Position(2, 1)))
    script.seam.batch([Gap("a", "1-7", "why", anew=True), Item(Position(2, 2))])
    script.seam.caught_up()
    assert script.emitted == ["gap", 1, 2]
