from types import SimpleNamespace
from typing import Any

from rxws.rx.holds import MAX_WAITING, WaitingItems


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
    assert all(waiting.put(number, None) for number in range(MAX_WAITING))
    assert not waiting.put(0, None)
    assert not waiting.put(0, source())


def test_leftovers_are_bounded() -> None:
    """Items that departed sources left behind are bounded."""
    waiting, held = WaitingItems[int](), [source() for _ in range(MAX_WAITING)]
    for number, one in enumerate(held):
        assert waiting.put(number, one)
        one.gone = True
    assert not waiting.put(0, None)
    assert waiting.pop() == 0
    assert waiting.put(0, None)
    waiting.clear()
    assert not waiting
