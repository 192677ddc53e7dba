"""Where marbles stand."""

import random
from itertools import pairwise

import pytest

from rxws import Close
from rxws.marbles.layout import Lane, Layout, text_of, ticks
from rxws.marbles.picture import Sheet
from rxws.marbles.text import Strip
from rxws.recording import Event
from tests.streams import raising


@pytest.mark.parametrize("layout", [Sheet(["a"], 0.0, 1.0, 840).layout(), Strip(["a"], 0.0, 1.0).layout()])
def test_any_layout(layout: Layout) -> None:
    """Marbles of any width and density stand apart, and all are counted."""
    choose = random.Random(1)
    for _ in range(300):
        lane, time, number = Lane("a"), 0.0, 0
        for _ in range(60):
            time += choose.choice((0.0, 0.001, 0.01, 0.1)) * choose.random()
            data = choose.choice(("", "a", "日本語" * 3, "a long label, cut", Close(4001), ValueError("bad")))
            count = choose.choice((1, 1, 1, 20, 100_000))
            number += count
            layout.add(lane, Event(time, "a", "close" if isinstance(data, Close) else "next", data), count)
        assert sum(marble.count for marble in lane.marbles) == number
        for before, after in pairwise(lane.marbles):
            assert after.x - after.half >= before.right + layout.gap - 1e-9


@pytest.mark.parametrize(("end", "number"), [(1.1, 5), (20.0, 8), (0.0003, 3)])
def test_ticks(end: float, number: int) -> None:
    """Times are round and few, wherever they begin."""
    for begin in (0.0, 0.4 * end, 1000.0):
        times = ticks(begin, begin + end, number)
        assert 1 <= len(times) <= number + 1
        assert all(begin - 1e-9 <= time <= begin + end + 1e-9 for time in times)


class Evil(dict[str, int]):
    def __init__(self, error: BaseException) -> None:
        super().__init__(a=1)
        self.items = raising(error)  # type: ignore[method-assign]


def test_item_that_raises() -> None:
    """What JSON makes of an item may raise anything; what ends the program is raised on."""
    assert text_of(Evil(ZeroDivisionError())) == "{'a': 1}"
    with pytest.raises(SystemExit):
        text_of(Evil(SystemExit()))
