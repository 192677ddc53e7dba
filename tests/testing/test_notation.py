"""Marble diagrams as text."""

from typing import Any

import pytest

import rxws
from rxws.recording import Event
from rxws.testing import parse, write


@pytest.mark.parametrize(
    ("text", "events", "duration"),
    [
        ("", [], 0),
        ("---", [], 0.3),
        ("-a-b", [(0.1, "next", "a"), (0.3, "next", "b")], 0.4),
        ("a7é", [(0, "next", "a"), (0.1, "next", "7"), (0.2, "next", "é")], 0.3),
        (' - "a b" - ', [(0.1, "next", "a b")], 0.3),
        ('{"a": [1]}[2]', [(0, "next", {"a": [1]}), (0.1, "next", [2])], 0.2),
        ("<42><null><0x6869>", [(0, "next", 42), (0.1, "next", None), (0.2, "next", b"hi")], 0.3),
        ("-(ab|)-", [(0.1, "next", "a"), (0.1, "next", "b"), (0.1, "completed", None)], 0.3),
        ("a 20s b", [(0, "next", "a"), (20.1, "next", "b")], 20.2),
        ("250ms a 1.5m |", [(0.25, "next", "a"), (90.35, "completed", None)], 90.45),
        ("(a 50ms b)c", [(0, "next", "a"), (0.05, "next", "b"), (0.15, "next", "c")], 0.25),
        ("5s", [], 5),
        ("-5s", [(0.1, "next", "5"), (0.2, "next", "s")], 0.3),
    ],
)
def test_parse(text: str, events: list[Any], duration: float) -> None:
    """A diagram says what happens and when."""
    script = parse(text)
    assert [(event.time, event.kind, event.data) for event in script.events] == [
        (pytest.approx(time), kind, data) for time, kind, data in events
    ]
    assert script.duration == pytest.approx(duration)
    assert parse(write(script.events)).events == script.events


def test_closes_and_errors() -> None:
    """Closes and errors have codes, reasons and names."""
    close, lost, error, plain = parse("-(close 4001 see you)(close 1006)(# KeyError)#").events
    assert (close.data, lost.data.code) == (rxws.Close(4001, "see you"), 1006)
    assert (repr(error.data), error.kind, repr(plain.data)) == ("KeyError('')", "error", "('')")
    assert write([close, lost, error, plain]) == "-(close 4001 see you)(close 1006)(# KeyError)#"


def test_write() -> None:
    """What happened is written, whatever it was."""
    events = [
        Event(0.0, "", "error"),
        Event(0.5, "", "next", KeyError("no")),
        Event(0.55, "", "next", "a"),
        Event(0.55, "", "completed"),
        Event(0.75, "", "next", "b"),
        Event(0.75, "", "error", ValueError("no")),
    ]
    assert write(events) == "#----(# KeyError 50ms a|)-(b # ValueError)"


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("messages", ["7m", "15s", "7ms", "a7m", "77mm", "7s7m"])
def test_messages_that_look_like_a_time(messages: str, together: bool) -> None:
    """Messages that would read as a time are written so that they do not."""
    events = [Event(0.0 if together else number / 10, "", "next", data) for number, data in enumerate(messages)]
    assert [(event.time, event.data) for event in parse(write(events)).events] == [
        (pytest.approx(event.time), event.data) for event in events
    ]


def test_frames_and_values() -> None:
    """Frames may last as long as one likes, and values have names."""
    script = parse("-x-[", frame=2, values={"x": {"price": 1}, "[": "begin"})
    assert [(event.time, event.data) for event in script.events] == [(2, {"price": 1}), (6, "begin")]
    assert write(script.events, frame=2, values={"x": {"price": 1}}) == '-x-"begin"'


@pytest.mark.parametrize(
    ("text", "what", "at"),
    [
        ("-a-?", "'?' means nothing", 3),
        ("-(ab", "this parenthesis is not closed", 1),
        ("-a)", "no parenthesis is open here", 2),
        ("((a))", "parentheses within parentheses", 1),
        ("(a-b)", "within parentheses, write time as ' 50ms '", 2),
        ('-"a', "this is not JSON", 1),
        ("-<x>", "this is not JSON", 1),
        ("-<0xz>", "this is not JSON", 1),
        ("-(close 4001", "this parenthesis is not closed", 1),
        ("-(close 5000)", "close code 5000 may not be sent", 2),
        ("-(close)", "expected a number after 'close', as in '(close 4001 bye)'", 2),
        ("-(a close 400)", "expected a number after 'close', as in '(close 4001 bye)'", 4),
        ("(refused)", "expected a number after 'refused', as in '(refused 403)'", 1),
    ],
)
def test_bad_diagram(text: str, what: str, at: int) -> None:
    """What makes no sense is an error that points at it."""
    with pytest.raises(ValueError, match=r"\^") as error:
        parse(text)
    message, *lines = str(error.value).splitlines()
    assert message.startswith(what)
    assert lines == [text, " " * at + "^"]


def test_bad_frames_and_values() -> None:
    """Frames and values that make no sense are errors."""
    with pytest.raises(ValueError, match="frame must be a positive number of seconds, not 0"):
        parse("-", frame=0)
    for name in ("ab", "", "-", "|"):
        with pytest.raises(ValueError, match="values takes names of one character"):
            parse("-", values={name: 1})


@pytest.mark.parametrize("data", ["-", "two words", "", True, 1.5, None, b"\x00", {"a": (1, 2)}, [b"x"], "a)"])
def test_any_message(data: Any) -> None:
    """Every message can be written, and most are read as they were."""
    text = write([Event(0.0, "", "next", data)])
    if not isinstance(data, (dict, list)):
        assert parse(text).events[0].data == data
