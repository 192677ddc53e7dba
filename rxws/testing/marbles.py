"""Marble diagrams that are compared with what a test expects, and what is shown when they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any, Final, cast

from rxws.close import Close
from rxws.recording.event import Event, Recording, name_of_error
from rxws.testing.notation import FRAME, gap, moment_text, moments, parse, write

TOLERANCE: Final = 0.02
"""The share of a frame by which two times may differ and still count as equal."""


class Marbles:
    """What happened, as a marble diagram; it equals a `str` that describes the same.

    Times are equal within a fiftieth of a frame. `|` is the same as `(close 1000)`, `#` as `(close 1006)`. A close
    without a reason equals one with any reason. It equals a `Recording` with the same sent messages and the same close;
    their times do not matter.

    Args:
        events: What happened.
        frame: Seconds of a character.
        values: The messages that single characters stand for.
        before: Lanes that `difference` shows above, by name.

    >>> Marbles(parse("-a-(b|)").events) == "-a-(b|)"
    True
    >>> print(Marbles(parse("-a-b-|").events).difference("-a-c-|"))
    expected  -a-c-|
         got  -a-b-|
                 ^
    """

    def __init__(
        self,
        events: Iterable[Event],
        *,
        frame: float = FRAME,
        values: Mapping[str, Any] | None = None,
        before: Mapping[str, Iterable[Event]] | None = None,
    ) -> None:
        self.events = tuple(events)
        self._frame = frame
        self._values = values or {}
        self._before = before or {}

    def difference(self, expected: object) -> str:
        """Draw what was expected above what came, and mark the moments that differ.

        Args:
            expected: A diagram, or other marbles.
        """
        if isinstance(expected, Recording):
            ours, theirs = _in_order(self.events, self._frame), _in_order(sent(expected), self._frame)
            return _drawn({"recorded": theirs, "got": ours}, self._frame, self._values)
        rows = {name: list(events) for name, events in self._before.items()}
        rows |= {"expected": self._expected(expected), "got": list(self.events)}
        return _drawn(rows, self._frame, self._values)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Marbles):
            return _same_all(self.events, other.events, self._frame)
        if isinstance(other, str):
            return _same_all(self.events, self._expected(other), self._frame)
        if isinstance(other, Recording):
            return _same_all(_in_order(self.events, 1.0), _in_order(sent(other), 1.0), 1.0)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return write(self.events, frame=self._frame, values=self._values)

    def __repr__(self) -> str:
        return f"<{self}>"

    def _expected(self, other: object) -> list[Event]:
        if isinstance(other, Marbles):
            return list(other.events)
        return list(parse(str(other), frame=self._frame, values=self._values).events)


def _same_all(ours: Iterable[Event], theirs: Iterable[Event], frame: float) -> bool:
    return all(
        one is not None and other is not None and _same(one, other, frame) for one, other in zip_longest(ours, theirs)
    )


def _same(one: Event, other: Event, frame: float) -> bool:
    return abs(one.time - other.time) <= frame * TOLERANCE and _carries(one, other)


def _carries(one: Event, other: Event) -> bool:
    """Return whether two events are the same but for their times; the expected one is `other`."""
    ours, theirs = _end_of(one), _end_of(other)
    if isinstance(ours, Close) and isinstance(theirs, Close):
        return ours.code == theirs.code and theirs.reason in ("", ours.reason)
    if isinstance(ours, Exception) and isinstance(theirs, Exception):
        return name_of_error(theirs) in ("", name_of_error(ours))
    if isinstance(ours, Close) or isinstance(theirs, Close):
        return False
    return one.kind == other.kind and type(one.data) is type(other.data) and one.data == other.data


def _end_of(event: Event) -> Any:
    """Give what an event carries; of a completion the close it stands for, of a nameless error too."""
    if event.kind == "completed":
        return Close()
    return event.data


def sent(recording: Recording) -> list[Event]:
    """Give what a recorded socket has sent, and its close."""
    events = list(recording)
    closes = [event for event in events if event.lane == "socket" and event.kind == "close"]
    return [event for event in events if event.lane == "outgoing" and event.kind == "next"] + closes[-1:]


def _in_order(events: Iterable[Event], frame: float) -> list[Event]:
    """Give events times that tell their order alone."""
    return [Event(number * frame, event.lane, event.kind, event.data) for number, event in enumerate(events)]


def _drawn(rows: Mapping[str, list[Event]], frame: float, values: Mapping[str, Any]) -> str:
    """Draw diagrams one above the other, the same times below each other; mark where the last two differ."""
    grouped = {name: moments(events, frame) for name, events in rows.items()}
    times = _merged((group[0].time for groups in grouped.values() for group in groups), frame)
    lines = dict.fromkeys(rows, "")
    marks = ""
    now = 0.0
    for time in times:
        here = {name: _at(groups, time, frame) for name, groups in grouped.items()}
        texts = {name: moment_text(group, values) if group else "" for name, group in here.items()}
        between, width = gap(max(time - now, 0.0), frame), max(map(len, texts.values()))
        expected, got = list(here.values())[-2:]
        same = _same_all(got, expected, frame)
        for name, text in texts.items():
            if text or (grouped[name] and grouped[name][-1][0].time > time):
                lines[name] += between + (text or "-").ljust(width)
        marks += " " * len(between) + (" " if same else "^") * width
        now = max(time, *(group[-1].time for group in here.values() if group)) + frame
    margin = max(map(len, rows))
    shown = [f"{name:>{margin}}  {line.rstrip()}" for name, line in lines.items()]
    return "\n".join([*shown, f"{' ' * margin}  {marks}".rstrip()])


def _merged(times: Iterable[float], frame: float) -> list[float]:
    merged: list[float] = []
    for time in sorted(times):
        if not merged or time - merged[-1] > frame * TOLERANCE:
            merged.append(time)
    return merged


def _at(groups: list[list[Event]], time: float, frame: float) -> list[Event]:
    return next((group for group in groups if 0 <= group[0].time - time <= frame * TOLERANCE), cast("list[Event]", []))
