"""A recording as text, for a terminal."""

from __future__ import annotations

from rxws.closing import Close
from rxws.marbles.layout import Lane, Layout, columns_of, label_of, shorten, ticks, time_of
from rxws.recording.event import Recording


def ascii(recording: Recording, *, width: int = 80) -> str:
    """Draw a recording as a marble diagram of characters: a lane each, the time from left to right, below the times.

    Values stand where they happened; those that would overlap become a count. `|` is a completion, `#` an error, a code
    in parentheses a close. Memory: what fits in the width.

    >>> from rxws.recording import Event
    >>> print(ascii(Recording([Event(0.5, "a", "next", "hi"), Event(1.0, "a", "completed")]), width=40))
    a  --------------hi------------|--------
        0            500 ms        1 s
    """
    duration = max((event.time for event in recording), default=0.0) or 1.0
    names = list(dict.fromkeys([*recording.lanes, *(event.lane for event in recording)]))
    indent = max((columns_of(shorten(name, 20)) for name in names), default=0) + 2
    room = max(width - indent, 20)

    def place(time: float) -> float:
        return 1 + (room - 10) * time / duration

    lanes = Layout(place, lambda label: columns_of(label) / 2, gap=1, slot=5).arrange(names, recording)
    return "\n".join([*(_row(lane, indent, room) for lane in lanes), _times(duration, indent, room)])


def _row(lane: Lane, indent: int, room: int) -> str:
    line = _Line(room, "-")
    for marble in lane.marbles:
        text = f"({marble.label})" if isinstance(marble.event.data, Close) else marble.label
        line.put(marble.x - columns_of(text) / 2, text)
    for x, event in lane.ends:
        line.put(x, "|" if event.kind == "completed" else f"#{label_of(event)}")
    name = shorten(lane.name, 20)
    return name + " " * (indent - columns_of(name) - 1) + f" {line}"


def _times(duration: float, indent: int, room: int) -> str:
    line = _Line(room, " ")
    for time in ticks(duration, max(room // 16, 1)):
        line.put(1 + (room - 10) * time / duration, time_of(time))
    return f"{' ' * indent}{line}".rstrip()


class _Line:
    """A line of cells; a wide character takes two."""

    def __init__(self, room: int, filling: str) -> None:
        self._cells = [filling] * room

    def put(self, at: float, text: str) -> None:
        start = max(0, min(round(at), len(self._cells) - columns_of(text)))
        for character in text:
            wide = columns_of(character)
            self._cells[start : start + wide] = [character, *[""] * (wide - 1)]
            start += wide

    def __str__(self) -> str:
        return "".join(self._cells)
