"""Where the marbles of a recording go: the same for a picture and for text."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import cycle
from numbers import Number
from typing import Any, Final

from rxws.close import Close
from rxws.errors import raise_fatal
from rxws.recording.event import Event, name_of_error
from rxws.rx.foreign import described

LABEL: Final = 14
"""Columns of a label at most."""

CLOCK_STEPS: Final = (
    0.001,
    0.01,
    0.1,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    14_400,
    21_600,
    43_200,
)
"""Seconds between ticks that are round on a clock."""


@dataclass(slots=True)
class Marble:
    """One event, or a burst of them that would overlap."""

    event: Event
    """The newest of them."""
    label: str
    first: float
    """Where the first of them is."""
    last: float
    half: float
    """Half its width."""
    count: int = 1

    @property
    def x(self) -> float:
        """The middle."""
        return (self.first + self.last) / 2

    @property
    def right(self) -> float:
        """Where it ends."""
        return self.x + self.half


@dataclass(slots=True)
class Lane:
    """A row of marbles, and how it ends."""

    name: str
    marbles: list[Marble] = field(default_factory=list[Marble])
    ends: list[tuple[float, Event]] = field(default_factory=list[tuple[float, Event]])
    """Completion or error; several where the lane was subscribed again."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a recording becomes rows: in pixels, or in characters."""

    place: Callable[[float], float]
    """From seconds to where that is."""
    half: Callable[[str], float]
    """Half the width of a marble with this label."""
    gap: float
    """Room between marbles; those that come nearer become one."""
    slot: float
    """From the first to the last of a burst at most."""
    edge: float = -math.inf
    """Where marbles begin at the earliest."""
    label: Callable[[Event], str] = field(default=lambda event: label_of(event))
    """What stands in a marble."""

    def arrange(self, lanes: Iterable[str], events: Iterable[Event]) -> list[Lane]:
        """Put events on their lanes. Memory: what fits in the width, whatever the number of events."""
        rows = {name: Lane(name) for name in lanes}
        for event in events:
            self.add(rows.setdefault(event.lane, Lane(event.lane)), event)
        return list(rows.values())

    def add(self, row: Lane, event: Event, count: int = 1) -> None:
        """Put one more event, or a burst of which it is the newest, on its lane; the marbles before the last stay."""
        at, before = self.place(event.time), row.marbles[-1] if row.marbles else None
        if event.kind in ("error", "completed"):
            row.ends.append((at if before is None else max(at, before.right + self.gap), event))
        elif before is not None and _alike(before.event, event) and self._near(before, event, at):
            self._merge(row, event, at, count)
        else:
            label = self.label(event) if count == 1 else f"×{count}"
            half = self.half(label)
            x = max(at, (self.edge if before is None else before.right + self.gap) + half)
            if before is not None and self._crowded(before, at, x):
                self._merge(row, event, at, count)
            else:
                row.marbles.append(Marble(event, label, x, x, half, count))

    def _crowded(self, before: Marble, at: float, x: float) -> bool:
        """Return whether an event would be drawn too late, after one that is, too: times would be wrong."""
        return x - at > self.slot and before.x - self.place(before.event.time) > self.slot / 4

    def _near(self, before: Marble, event: Event, at: float) -> bool:
        if at - before.first > self.slot:
            return False
        edge = before.right + self.gap
        return at - self.half("") < edge or at - self.half(self.label(event)) < edge

    def _merge(self, row: Lane, event: Event, at: float, count: int) -> None:
        *others, marble = row.marbles[-2:]
        marble.count += count
        marble.event, marble.label, marble.last = event, f"×{marble.count}", max(at, marble.last)
        marble.half = max(self.half(marble.label), (marble.last - marble.first) / 2 + self.half(""))
        left = max([self.edge, *(other.right + self.gap for other in others)])
        missing = max(0.0, left - (marble.x - marble.half))  # a count may be wider than the label that stood here
        marble.first, marble.last = marble.first + missing, marble.last + missing


def end_together(lanes: Sequence[Lane], near: Callable[[Event, Event], bool]) -> None:
    """Let lanes whose last ends are `near` each other end at one place, behind the marbles of all of them."""
    ended = sorted((lane for lane in lanes if lane.ends), key=lambda lane: lane.ends[-1][1].time)
    while ended:
        together = [lane for lane in ended if near(lane.ends[-1][1], ended[-1].ends[-1][1])]
        x = max(lane.ends[-1][0] for lane in together)
        for lane in together:
            lane.ends[-1] = (x, lane.ends[-1][1])
        del ended[-len(together) :]


def label_of(event: Event) -> str:
    """Say in at most 14 columns what an event carries.

    >>> label_of(Event(0, "in", "next", {"a": [1, 2]})), label_of(Event(0, "in", "next", ValueError("no")))
    ('{"a":[1,2]}', 'ValueError')
    """
    match event.kind, event.data:
        case "open", protocol:
            return "open" if protocol is None else shorten(str(protocol))
        case _, Close(code=code):
            return str(code)
        case _, BaseException() as error:
            return shorten(name_of_error(error))
        case _, float(number):
            return f"{number:.6g}"
        case _:
            return short(event.data)


def text_of(data: Any, most: int | None = None) -> str:
    """Show an item on one line, `most` characters of it: what nobody sees of a large one would take long."""
    if isinstance(data, str):
        text = data
    elif is_number(data):
        text = number_of(data)
    else:
        try:
            text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        except BaseException as error:  # JSON cannot say it, or it is of a class of the user's
            raise_fatal(error)
            text = described(data)
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text[:most])


def is_number(data: Any) -> bool:
    """Return whether an item is a number, of the standard library or of numpy."""
    return not isinstance(data, bool) and isinstance(data, Number)


def number_of(number: Any) -> str:
    """Write a number with all its digits; those of Decimal and of numpy, too.

    >>> number_of(1234567.125), number_of(3.0), number_of(10**20)
    ('1234567.125', '3', '100000000000000000000')
    """
    try:
        return str(number).removesuffix(".0")
    except BaseException as error:  # of a class of the user's, or of too many digits
        raise_fatal(error)
        return described(number)


def title_of(lane: str) -> str:
    """Show a lane's name in at most 20 columns."""
    return shorten(text_of(lane), 20)


def shorten(text: str, columns: int = LABEL) -> str:
    """Cut a text that needs more than `columns` columns.

    >>> shorten("a long story, told again")
    'a long story,…'
    """
    if columns_of(text) <= columns:
        return text
    while columns_of(text) > columns - 1:
        text = text[: min(len(text) - 1, columns)]
    return text + "…"


def short(data: Any, columns: int = LABEL) -> str:
    """Show an item on one line, in at most `columns` columns.

    >>> short({"a": "long story, told again"})
    '{"a":"long st…'
    """
    return shorten(text_of(data, columns + 1), columns)


def columns_of(text: str) -> int:
    """Count the columns that a text needs in a font of one width.

    >>> columns_of("abc"), columns_of("日本")
    (3, 4)
    """
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def duration_of(events: Iterable[Event]) -> float:
    """Find the time of the last event; one second if there is none after the start."""
    return max((event.time for event in events), default=0.0) or 1.0


def ticks(begin: float, end: float, number: int) -> list[float]:
    """Choose round times from begin to end, at most `number` besides the first.

    >>> ticks(0, 1.1, 5), ticks(61.3, 81.3, 5), ticks(0, 150, 5)
    ([0.0, 0.5, 1.0], [65.0, 70.0, 75.0, 80.0], [0.0, 30.0, 60.0, 90.0, 120.0, 150.0])
    """
    step, factors = 10.0**-6, cycle((2.0, 2.5, 2.0))
    while (end - begin) / step > number:
        step *= next(factors)
    if step > 1 and end > 60:  # tens of seconds are not round in minutes
        step = _clock_step(end - begin, number)
    return [round(step * tick, 9) for tick in range(math.ceil(begin / step - 1e-9), int(end / step + 1e-9) + 1)]


def _clock_step(span: float, number: int) -> float:
    """Choose the seconds between ticks that are round on a clock, at most `number` in a span."""
    step = next((float(step) for step in CLOCK_STEPS if span / step <= number / (1 + (step < 1))), 86_400.0)
    while span / step > number:
        step *= 2
    return step


@dataclass(frozen=True, slots=True)
class Clock:
    """Writes times of a recording: from its beginning on, or as the clock had it, if it is known when that was.

    >>> clock = Clock(datetime(2026, 3, 1, 14, 3, 18, 250_000))
    >>> [clock.written(time) for time in clock.ticks(0, 10, 8)], clock.exactly(0.5), Clock(None).exactly(0.5)
    (['14:03:20', '14:03:22', '14:03:24', '14:03:26', '14:03:28'], '14:03:18.750', '500 ms')
    """

    start: datetime | None

    def ticks(self, begin: float, end: float, number: int) -> list[float]:
        """Choose round times from begin to end, at most `number` besides the first."""
        if self.start is None:
            return ticks(begin, end, number)
        step = _clock_step(end - begin, number)
        offset = (self.start - self.start.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
        first = math.ceil((begin + offset) / step - 1e-9)
        return [step * tick - offset for tick in range(first, int((end + offset) / step + 1e-9) + 1)]

    def written(self, time: float) -> str:
        """Write a tick's time."""
        return time_of(time) if self.start is None else self.exactly(time).removesuffix(".000")

    def exactly(self, time: float) -> str:
        """Write an event's time."""
        if self.start is None:
            return time_of(round(time, 6))
        return (self.start + timedelta(seconds=time + 0.0005)).time().isoformat("milliseconds")


FROM_ZERO: Final = Clock(None)
"""Writes times from the beginning on."""


def time_of(seconds: float) -> str:
    """Write a time shortly.

    >>> [time_of(seconds) for seconds in (0, 0.0005, 0.25, 1.5, 90, 7200)]
    ['0', '0.5 ms', '250 ms', '1.5 s', '1 min 30 s', '2 h']
    """
    if not seconds:
        return "0"
    if seconds < 60:
        return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{amount:g} {unit}" for amount, unit in parts if amount)


def size_of(number: float) -> str:
    """Write a number of bytes, in kB or MB; what is not nothing is 0.1 kB at least.

    >>> size_of(0), size_of(40), size_of(1500), size_of(2.5e6)
    ('0.0 kB', '0.1 kB', '1.5 kB', '2.5 MB')
    """
    return f"{number / 1e6:,.1f} MB" if number >= 1e6 else f"{max(number / 1e3, 0.1 * bool(number)):.1f} kB"


def _alike(one: Event, other: Event) -> bool:
    """Return whether two events may be one marble as soon as they are near: both are items, or both are errors."""
    return one.kind == other.kind == "next" and isinstance(one.data, BaseException) == isinstance(
        other.data, BaseException
    )
