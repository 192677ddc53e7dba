"""A recording as text, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rxws.close import Close
from rxws.marbles.layout import FROM_ZERO, Clock, Lane, Layout, columns_of, duration_of, label_of, title_of
from rxws.recording.event import Event, Recording


def ascii(recording: Recording, *, width: int = 80) -> str:
    """Draw a recording as a marble diagram of characters: a lane each, the time from left to right, below the times.

    Values stand where they happened; those that would overlap become a count. `|` is a completion, `#` an error, a code
    in parentheses a close. Memory: what fits in the width.

    Args:
        recording: The recording.
        width: Characters of a line.

    >>> from rxws.recording import Event
    >>> print(ascii(Recording([Event(0.5, "a", "next", "hi"), Event(1.0, "a", "completed")]), width=40))
    a  --------------hi------------|--------
        0            500 ms        1 s
    """
    names = list(dict.fromkeys([*recording.lanes, *(event.lane for event in recording)]))
    strip = Strip(names, 0.0, duration_of(recording), width)
    return strip.write(strip.layout().arrange(names, recording))


class Strip:
    """The lines of a diagram: the lanes' names on the left, then the time from `begin` to `end`, in seconds."""

    def __init__(
        self, names: Sequence[str], begin: float, end: float, width: int = 80, clock: Clock = FROM_ZERO
    ) -> None:
        self.names = names
        self._clock = clock
        self._begin = begin
        self._end = end
        self._indent = max((columns_of(title_of(name)) for name in names), default=0) + 2
        self._room = max(width - self._indent, 20)

    def layout(self) -> Layout:
        """Make what puts events on these lines."""
        return Layout(self._place, lambda label: columns_of(label) / 2, gap=1, slot=5, edge=0.0, label=_label)

    def write(self, lanes: Sequence[Lane]) -> str:
        """Write lanes that are laid out."""
        return "\n".join([*(_row(lane, self._indent, self._room) for lane in lanes), self._times()])

    def _place(self, time: float) -> float:
        return 1 + (self._room - 10) * (time - self._begin) / (self._end - self._begin)

    def _times(self) -> str:
        line = _Line(self._room, " ")
        for time in self._clock.ticks(self._begin, self._end, max(self._room // 16, 1)):
            line.put(self._place(time), self._clock.written(time))
        return f"{' ' * self._indent}{line}".rstrip()


def _row(lane: Lane, indent: int, room: int) -> str:
    line, limit = _Line(room, "-"), room
    texts = [(marble.x - columns_of(marble.label) / 2, marble.label) for marble in lane.marbles]
    texts += [(x, "|" if event.kind == "completed" else f"#{label_of(event)}") for x, event in lane.ends]
    for at, text in reversed(texts):  # what does not fit on the right moves to the left
        limit = line.put(min(at, limit - columns_of(text)), text)
    name = title_of(lane.name)
    return name + " " * (indent - columns_of(name) - 1) + f" {line}"


def _label(event: Event) -> str:
    return f"({label_of(event)})" if isinstance(event.data, Close) else label_of(event)


class _Line:
    """A line of cells; a wide character takes two."""

    def __init__(self, room: int, filling: str) -> None:
        self._cells = [filling] * room

    def put(self, at: float, text: str) -> int:
        """Write a text at a place, or at the nearest that there is; return where it begins."""
        start = begin = max(0, min(round(at), len(self._cells) - columns_of(text)))
        for character in text:
            wide = columns_of(character)
            self._cells[start : start + wide] = [character, *[""] * (wide - 1)]
            start += wide
        return begin

    def __str__(self) -> str:
        return "".join(self._cells)
