from types import SimpleNamespace
from typing import Any

from rxws.rx.holds import MAX_WAITING, WaitingItems


def source() -> Any:
    return SimpleNamespace(gone=False)


def test_what_waits_comes_in_order() -> None:
    waiting = WaitingItems[int]()
    assert [waiting.put(number, None) for number in range(3)] == [True] * 3
    assert [waiting.pop() for _ in range(len(waiting))] == [0, 1, 2]


def test_what_nobody_is_held_for_is_bounded_and_one_item_of_everybody_who_is_held_is_not() -> None:
    waiting, held = WaitingItems[int](), [source() for _ in range(5000)]
    for number, one in enumerate(held):
        assert waiting.put(number, one)
    assert all(waiting.put(number, None) for number in range(MAX_WAITING))
    assert not waiting.put(0, None)
    assert not waiting.put(0, source())


def test_what_those_have_left_who_are_gone_is_bounded() -> None:
    waiting, held = WaitingItems[int](), [source() for _ in range(MAX_WAITING)]
    for number, one in enumerate(held):
        assert waiting.put(number, one)
        one.gone = True
    assert not waiting.put(0, None)
    assert waiting.pop() == 0
    assert waiting.put(0, None)
    waiting.clear()
    assert not waiting
