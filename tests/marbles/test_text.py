"""Recordings as text."""

from rxws import Close
from rxws.marbles import ascii
from rxws.recording import Event, Recording


def numbers(*times: float, lane: str = "a") -> list[Event]:
    return [Event(time, lane, "next", number) for number, time in enumerate(times)]


def test_text() -> None:
    """Text shows values, counts, ends and times below each other."""
    events = [
        Event(0.0, "socket", "open"),
        *numbers(0.2, 0.2, 0.2),
        Event(0.5, "b", "next", "日本"),
        Event(1.0, "a", "completed"),
        Event(1.0, "b", "error", KeyError(1)),
        Event(1.0, "socket", "close", Close(4001)),
    ]
    assert ascii(Recording(events, ("a", "b", "socket")), width=60).splitlines() == [
        "a       --------×3---------------------------------|--------",
        "b       --------------------日本-------------------#KeyError",
        "socket  open------------------------------------(4001)------",
        "         0                    500 ms               1 s",
    ]


def test_names_of_one_line() -> None:
    """A lane's name stays within its line, and does nothing to a terminal."""
    recording = Recording(numbers(0.5, lane="a\n\x1b[2J"), ("b\ud800",))
    assert [text.split(" ")[0] for text in ascii(recording).splitlines()[:2]] == ["b\ufffd", "a\ufffd\ufffd[2J"]


def test_nothing_is_overwritten() -> None:
    """A close stands in parentheses, and what is at the end stands before its end."""
    events = [
        Event(0.2, "socket", "close", Close(4001)),
        Event(0.21, "socket", "open"),
        Event(1.0, "socket", "close", Close(4002)),
        Event(1.0, "socket", "completed"),
        Event(1.0, "a", "next", "a long message"),
        Event(1.0, "a", "error", ValueError("no")),
    ]
    assert ascii(Recording(events, ("a", "socket")), width=60).splitlines()[:2] == [
        "a       ---------------------------a long message#ValueError",
        "socket  ------(4001)-open-----------------------(4002)-|----",
    ]
