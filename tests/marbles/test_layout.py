"""Where marbles stand."""

import random
import re
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

import pytest

from rxws import Close
from rxws.marbles.layout import Clock, Lane, Layout, label_of, short, shorten, text_of, ticks, time_of
from rxws.marbles.picture import Sheet, svg
from rxws.marbles.text import Strip
from rxws.recording import Event, Recording
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
        assert lane.marbles[0].x - lane.marbles[0].half >= layout.edge - 1e-9, "it would cover the lane's name"
        for before, after in pairwise(lane.marbles):
            assert after.x - after.half >= before.right + layout.gap - 1e-9


@pytest.mark.parametrize(("end", "number"), [(1.1, 5), (20.0, 8), (0.0003, 3)])
def test_ticks(end: float, number: int) -> None:
    """Times are round and few, wherever they begin."""
    for begin in (0.0, 0.4 * end, 1000.0):
        times = ticks(begin, begin + end, number)
        assert 1 <= len(times) <= number + 1
        assert all(begin - 1e-9 <= time <= begin + end + 1e-9 for time in times)


@pytest.mark.parametrize(
    ("end", "written"),
    [
        (100.0, ["0", "15 s", "30 s", "45 s", "1 min", "1 min 15 s", "1 min 30 s"]),
        (400.0, ["0", "1 min", "2 min", "3 min", "4 min", "5 min", "6 min"]),
        (9000.0, ["0", "30 min", "1 h", "1 h 30 min", "2 h", "2 h 30 min"]),
    ],
)
def test_long_ticks_are_round(end: float, written: list[str]) -> None:
    """Above a minute, times are round in minutes and hours."""
    clock = Clock(None)
    assert [clock.written(time) for time in clock.ticks(0.0, end, 8)] == written


def test_time_of_rounds_before_it_is_split() -> None:
    """A time has never 60 seconds."""
    assert [time_of(time) for time in (119.9999, 90.125, 3599.9999)] == ["2 min", "1 min 30.125 s", "1 h"]


@pytest.mark.parametrize("window", [0.004, 0.3, 3.0, 20.0, 90.0, 3600.0, 400_000.0, 4e6])
def test_ticks_of_a_clock(window: float) -> None:
    """Times are round on the clock, few, and within the window."""
    start = datetime(2026, 3, 1, 23, 59, 58, 987_654)
    clock = Clock(start)
    for begin in (0.0, 5.4, 1000.0):
        times = clock.ticks(begin, begin + window, 8)
        assert 1 <= len(times) <= 9
        assert all(begin - 1e-6 <= time <= begin + window + 1e-6 for time in times)
        assert all(re.fullmatch(r"\d\d:\d\d:\d\d(\.\d{3})?", clock.written(time)) for time in times)
        if window >= 20:
            assert all(clock.written(time)[-1] in "05" and "." not in clock.written(time) for time in times)
    assert clock.exactly(1.012_346) == "00:00:00.000"


class EvilNumber(float):
    __str__ = raising(ZeroDivisionError())


def test_numbers_have_all_their_digits() -> None:
    """A label is short; where an item is shown whole, so are its numbers."""
    numbers = (1234567.891, 0.1 + 0.2, 3.0, Decimal("1.10"), 10**30, True)
    shown = ["1234567.891", "0.30000000000000004", "3", "1.10", "1" + 30 * "0", "true"]
    assert [text_of(number) for number in numbers] == shown
    assert text_of(10**5000) == "<int, whose repr raises ValueError>"
    assert text_of(EvilNumber(1.5)) == "1.5"
    assert label_of(Event(0, "a", "next", 1234567.891)) == "1.23457e+06"


def test_lanes_that_end_together_end_at_one_place() -> None:
    """Also where the marbles of one of them stand in the way."""
    ends = [
        Event(1.0, "a", "completed"),
        Event(1.0001, "b", "error", ValueError("no")),
        Event(1.0002, "c", "completed"),
    ]
    before = [Event(0.5, "d", "completed"), Event(0.99, "b", "next", "a long label")]
    picture = svg(Recording([*before, *ends, Event(2.0, "e", "completed")]))
    bars = re.findall(r'class="(?:end|cross)" d="M([\d.]+)', picture)
    assert len(bars) == 5
    assert len(set(bars)) == 3


class Evil(dict[str, int]):
    def __init__(self, error: BaseException) -> None:
        super().__init__(a=1)
        self.items = raising(error)  # type: ignore[method-assign]


def test_item_that_raises() -> None:
    """What JSON makes of an item may raise anything; what ends the program is raised on."""
    assert text_of(Evil(ZeroDivisionError())) == "{'a': 1}"
    with pytest.raises(SystemExit):
        text_of(Evil(SystemExit()))


@pytest.mark.parametrize("number", [1, 300, 5000])
def test_connections_that_come_and_go(number: int) -> None:
    """However many there are, they stand where time is: openings and closes are counted together if they must be."""
    events = list[Event]()
    for start in range(number):
        closed = Event(10.0 * start + 9, "socket", "close", Close(1012))
        events += [Event(10.0 * start, "socket", "open"), closed]
    sheet = Sheet(["socket"], 0.0, events[-1].time, 840)
    (lane,) = sheet.layout().arrange(["socket"], events)
    assert sum(marble.count for marble in lane.marbles) == 2 * number
    assert len(lane.marbles) < 20
    assert all(marble.x - sheet.place(marble.event.time) <= 70 for marble in lane.marbles)
    assert lane.marbles[-1].right <= 840
    picture = svg(Recording(events))
    assert len(picture) < 10_000
    assert "socket: opens at 0, closes with 1012 at 9 s" in picture
    assert (f"and {2 * number - 15} more" in picture) is (number > 1)


def test_narrow_picture() -> None:
    """A picture is wide enough for its lanes' names and some time."""
    recording = Recording([Event(time, "a lane", "next", "x") for time in (0.0, 0.5, 1.0)])
    places = [float(x) for x in re.findall(r'<rect x="([\d.]+)"', svg(recording, width=50))]
    assert (places == sorted(places), len(places)) == (True, 3)
    assert svg(recording, width=50) == svg(recording, width=1)


@pytest.mark.parametrize("item", ["x" * 1000, {"a": "y" * 1000}, "日" * 1000, "z" * 14, "\n" * 1000])
def test_large_items_are_cut_first(item: object) -> None:
    """Of a large item only what is shown is looked at, and that is the same."""
    whole = text_of(item)
    assert text_of(item, 5) == whole[:5]
    assert short(item, 14) == shorten(whole, 14)
