import itertools
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from rxws.rx.holds import MAX_UNHELD, Held, Holds, WaitingItems, current_source, notify_from
from tests.streams import raising
from tests.threads import preempted


def source() -> Any:
    return SimpleNamespace(gone=False)


def test_what_waits_comes_in_order() -> None:
    waiting = WaitingItems[int]()
    assert [waiting.put(number, None) for number in range(3)] == [True] * 3
    assert [waiting.pop() for _ in range(len(waiting))] == [0, 1, 2]


def test_waiting_is_bounded() -> None:
    """Items that hold nobody are bounded, and the first item of each held source is not."""
    waiting, held = WaitingItems[int](), [source() for _ in range(5000)]
    for number, one in enumerate(held):
        assert waiting.put(number, one)
    assert all(waiting.put(number, None) for number in range(MAX_UNHELD))
    assert not waiting.put(0, None)
    assert not waiting.put(0, source())


def test_leftovers_are_bounded() -> None:
    """Items that departed sources left behind are bounded."""
    waiting, held = WaitingItems[int](), [source() for _ in range(MAX_UNHELD)]
    for number, one in enumerate(held):
        assert waiting.put(number, one)
        one.gone = True
    assert not waiting.put(0, None)
    assert waiting.pop() == 0
    assert waiting.put(0, None)
    waiting.clear()
    assert not waiting


class Reporting:
    """A source that keeps what is reported to it."""

    gone = False

    def __init__(self) -> None:
        self.reported: list[Exception] = []

    def hold(self) -> None: ...

    def release(self) -> None: ...

    def take_in_hand(self) -> None: ...

    def let_go(self) -> None: ...

    def report(self, error: Exception) -> None:
        self.reported.append(error)


def test_notify_from() -> None:
    """Whoever is notified sees the source, which gets what they raise; afterwards the source before is back."""
    before, source, seen = Reporting(), Reporting(), list[Any]()
    error = ValueError("no")
    token = current_source.set(before)
    notify_from(source, lambda *item: seen.append((current_source.get(), *item)), 1, 2)
    notify_from(source, raising(error))
    assert (seen, source.reported, current_source.get()) == ([(source, 1, 2)], [error], before)
    notify_from(None, lambda: seen.append(current_source.get()))
    with pytest.raises(ValueError, match="no"):
        notify_from(None, raising(error))
    assert (seen[1:], current_source.get(), before.reported) == ([None], before, [])
    with pytest.raises(KeyboardInterrupt):
        notify_from(source, raising(KeyboardInterrupt()))
    assert (len(source.reported), current_source.get()) == (2, before)
    current_source.reset(token)


class Counting(Held):
    """One that says what its holds make of it."""

    def __init__(self) -> None:
        self._held = 0
        self.log: list[bool] = []

    def _follow_holds(self) -> None:
        self.log.append(self._held > 0)


def test_held_until_all_let_go() -> None:
    held = Counting()
    held.hold()
    held.hold()
    held.release()
    held.release()
    assert held.log == [True, False]
    with pytest.raises(NotImplementedError):
        Held._follow_holds(held)


def test_holds_of_two_threads() -> None:
    """One holds a source once, also when two threads hold it together, or one lets it go meanwhile."""
    for line in itertools.count(1):
        for act in ("hold", "release"):
            holds, source = Holds(), Counting()
            hold = partial(holds.hold, source)
            came = preempted(hold, hold if act == "hold" else holds.release, line)
            assert source._held == bool(holds), f"line {line}, {act}"
            assert source._held <= 1
            holds.release()
            assert source._held == 0
        if not came:
            break
