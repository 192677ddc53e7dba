"""Recordings as lines of JSON."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import rxws
from rxws.recording import Event, RecordedError, Recording, Unreadable, read, write
from rxws.recording.lines import event_of, line

DATA = [
    "text",
    "\ud800 alone",
    "日本",
    {"a": [1, None, 2.5, True]},
    None,
    b"\x00\xff",
    b"",
    [],
    Unreadable("<object>"),
]


@pytest.mark.parametrize("data", DATA, ids=ascii)
def test_json_values(data: Any) -> None:
    """What JSON can say, and bytes, come back as they were."""
    event = Event(1.25, "incoming", "next", data)
    text = line(event)
    assert text.encode().decode() == text
    assert "\n" not in text
    assert event_of(text) == event


def test_errors_and_closes() -> None:
    """Errors and closes come back with their name, text, code and reason."""
    error = event_of(line(Event(0.0, "errors", "next", KeyError("no")))).data
    assert (type(error), error.type, error.text, str(error), repr(error)) == (
        (RecordedError, "KeyError", "'no'", "'no'", "KeyError(\"'no'\")")
    )
    assert line(Event(0.0, "errors", "next", error)) == line(Event(0.0, "errors", "next", KeyError("no")))
    for close in (rxws.Close(4001, "bye"), rxws.Close.received(1006), rxws.Close.received(1005)):
        assert event_of(line(Event(0.0, "socket", "close", close))).data == close


@pytest.mark.parametrize("message", ["{", b"\xff"])
def test_undecodable_message(message: str | bytes) -> None:
    """An undecodable message is kept whole."""
    for error in (rxws.DecodeError(message), RecordedError("DecodeError", "?", message)):
        assert event_of(line(Event(0.0, "errors", "next", error))).data.message == message


@pytest.mark.parametrize("data", [object(), {1, 2}, float("nan"), {(1, 2): 3}, [b"x"]])
def test_not_json(data: Any) -> None:
    """What JSON cannot say comes back as its repr."""
    assert event_of(line(Event(0.0, "a", "next", data))).data == Unreadable(repr(data))
    assert repr(Unreadable("<object>")) == "<object>"


def test_file_format(tmp_path: Path) -> None:
    """A file holds a header and a line for each event, and is read as it is iterated."""
    events = [Event(0.5, "a", "next", 1), Event(1.0, "a", "completed")]
    made = Recording(events, ("a", "b"), datetime(2026, 1, 2, tzinfo=UTC), {"url": "ws://x/"})
    write(made, tmp_path / "r.jsonl")
    first, *rest = (tmp_path / "r.jsonl").read_text().splitlines()
    assert json.loads(first) == {
        "recording": 1,
        "start": "2026-01-02T00:00:00+00:00",
        "lanes": ["a", "b"],
        "about": {"url": "ws://x/"},
    }
    assert [json.loads(text) for text in rest] == [
        {"time": 0.5, "lane": "a", "kind": "next", "data": 1},
        {"time": 1.0, "lane": "a", "kind": "completed"},
    ]
    again = read(tmp_path / "r.jsonl")
    assert (again.lanes, again.start, again.about) == (made.lanes, made.start, made.about)
    assert list(again) == list(again) == events
    assert again.lane("a") == events
    assert "r.jsonl" in repr(again.events)


@pytest.mark.parametrize("text", ["", "hello\n", "[]\n", '{"recording": "x"}\n', '{"a": 1}\n'])
def test_not_a_recording(tmp_path: Path, text: str) -> None:
    """What is not a recording is an error that says so."""
    (tmp_path / "r.jsonl").write_text(text)
    with pytest.raises(ValueError, match="is no recording: its first line should be like"):
        read(tmp_path / "r.jsonl")


def test_bad_lines(tmp_path: Path) -> None:
    """A newer version and a bad line are errors, and half a last line is ignored."""
    path = tmp_path / "r.jsonl"
    path.write_text('{"recording": 2}\n')
    with pytest.raises(ValueError, match="has version 2 of the format; this rxws reads 1"):
        read(path)
    header = '{"recording":1,"start":null,"lanes":[],"about":{}}\n'
    for bad in ('{"time":"x"}', '{"time":1,"lane":"a","kind":"?"}', "nonsense", "\ufffd"):
        path.write_text(header + bad + "\n" + line(Event(1.0, "a", "completed")) + "\n")
        with pytest.raises(ValueError, match=r"r.jsonl, line 2: no event"):
            list(read(path))
    whole = line(Event(1.0, "a", "next", "日本"))
    path.write_bytes((header + whole + "\n" + whole).encode()[:-4])
    assert len(list(read(path))) == 1
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")
