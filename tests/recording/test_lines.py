"""Recordings as lines of JSON."""

import asyncio
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import rxws
from rxws.recording import Event, RecordedError, Recording, Unreadable, read, write
from rxws.recording.lines import event_of, header_line, line
from tests.streams import raising

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


HEADER = '{{"recording": 1, "start": {start}, "lanes": {lanes}, "about": {{}}}}'


@pytest.mark.parametrize(
    "text",
    [
        *("", "hello\n", "[]\n", '{"recording": "x"}\n', '{"a": 1}\n', "\0\0", "[" * 100_000),
        *(HEADER.format(start=start, lanes="[]") for start in ("5", '"yesterday"', '"\\ud800"')),
        *(HEADER.format(start="null", lanes=lanes) for lanes in ("{}", "[1]", "[[]]")),
    ],
    ids=lambda text: text[:60],
)
def test_not_a_recording(tmp_path: Path, text: str) -> None:
    """What is not a recording is an error that says so."""
    (tmp_path / "r.jsonl").write_text(text)
    with pytest.raises(ValueError, match="is not a recording: its first line should be like"):
        read(tmp_path / "r.jsonl")


def test_pipe(tmp_path: Path) -> None:
    """A pipe can be read only once: an error says so, before anything is read."""
    os.mkfifo(tmp_path / "pipe")
    reading, writing = os.pipe()
    try:
        for path in (tmp_path / "pipe", f"/dev/fd/{reading}", "/dev/null"):
            with pytest.raises(ValueError, match="can be read only once"):
                read(path)
    finally:
        os.close(reading)
        os.close(writing)


def test_written_to_its_own_file(tmp_path: Path) -> None:
    """What was read from a file can be written to it."""
    path = tmp_path / "r.jsonl"
    write(Recording([Event(0.0, "a", "next", "x")]), path)
    write(replace(read(path), about={"url": "ws://a/"}), path)
    assert (read(path).about, [event.data for event in read(path)]) == ({"url": "ws://a/"}, ["x"])


class Evil(dict[str, int]):
    """A dict that raises what neither JSON nor `repr` expects."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(a=1)
        self.items = self.__class__.__repr__ = raising(error)  # type: ignore[method-assign,assignment]


def test_item_that_raises() -> None:
    """An item whose methods raise is recorded as what they raise; what ends the program is raised."""
    for error in (ZeroDivisionError(), asyncio.CancelledError()):
        text = f"<Evil, whose repr raises {type(error).__name__}>"
        assert event_of(line(Event(0.0, "a", "next", Evil(error)))).data == Unreadable(text)
    with pytest.raises(KeyboardInterrupt):
        line(Event(0.0, "a", "next", Evil(KeyboardInterrupt())))
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert event_of(line(Event(0.0, "a", "next", deep))).data == Unreadable("<list, whose repr raises RecursionError>")


def test_error_that_raises() -> None:
    """An error whose `str` raises, one with an odd message, and one that is not an Exception are errors of a file."""

    class Mute(Exception):
        __str__ = raising(ValueError())

    odd = rxws.DecodeError("?")
    odd.message = 5  # type: ignore[assignment]
    for error, text in (
        (Mute(), "<Mute, whose str raises ValueError>"),
        (odd, str(odd)),
        (asyncio.CancelledError("no"), "no"),
    ):
        read = event_of(line(Event(0.0, "a", "error", error))).data
        assert (type(read), read.type, read.text) == (RecordedError, type(error).__name__, text)


DAMAGED = [
    '{"time": NaN, "lane": "a", "kind": "next"}',
    '{"time": Infinity, "lane": "a", "kind": "next"}',
    '{"time": 1e999, "lane": "a", "kind": "next"}',
    f'{{"time": 1{"0" * 400}, "lane": "a", "kind": "next"}}',
    '{"time": -1, "lane": "a", "kind": "next"}',
    '{"time": 1, "lane": 1, "kind": "next"}',
    '{"time": 1, "lane": "a", "kind": "error"}',
    '{"time": 1, "lane": "a", "kind": "error", "error": {"type": "KeyError"}}',
    '{"time": 1, "lane": "a", "kind": "error", "data": "no error"}',
    '{"time": 1, "lane": "a", "kind": "next", "error": {"type": "E", "text": "", "message_base64": "?"}}',
    '{"time": 1, "lane": "a", "kind": "next", "base64": "\\u65e5"}',
    '{"time": 1, "lane": "a", "kind": "close"}',
    '{"time": 1, "lane": "a", "kind": "close", "code": true, "reason": ""}',
    '{"time": 1, "lane": "a", "kind": "close", "code": 99999, "reason": ""}',
    f'{{"time": 1, "lane": "a", "kind": "close", "code": 1{"0" * 400}, "reason": ""}}',
    '{"time": 1, "lane": "a", "kind": "close", "code": 4000, "reason": "\\ud800"}',
    '{"time": 1, "lane": "a", "kind": "open", "data": 5}',
    '{"time": 1, "lane": "a", "kind": "completed", "data": 5}',
    f'{{"time": 1, "lane": "a", "kind": "next", "data": {"[" * 100_000}{"]" * 100_000}}}',
    f'{{"time": 1, "lane": "a", "kind": "next", "data": 1{"0" * 10_000}}}',
]


@pytest.mark.parametrize("text", DAMAGED, ids=lambda text: text[:60])
def test_damaged_line_is_a_value_error(tmp_path: Path, text: str) -> None:
    """Whatever a line says, it is an event or a `ValueError`, and without its end it is ignored."""
    header = header_line(Recording([]))
    (tmp_path / "r.jsonl").write_text(f"{header}\n{text}\n")
    with pytest.raises(ValueError, match="line 2: not an event"):
        list(read(tmp_path / "r.jsonl"))
    (tmp_path / "r.jsonl").write_text(f"{header}\n{text}")
    assert list(read(tmp_path / "r.jsonl")) == []


def test_file_that_is_cut_while_it_is_read(tmp_path: Path) -> None:
    """A file that has lost its first line since it was opened has no events."""
    (tmp_path / "r.jsonl").write_text(header_line(Recording([])))
    recording = read(tmp_path / "r.jsonl")
    (tmp_path / "r.jsonl").write_text("")
    assert list(recording) == []


def test_bad_lines(tmp_path: Path) -> None:
    """A newer version and a bad line are errors, and half a last line is ignored."""
    path = tmp_path / "r.jsonl"
    path.write_text('{"recording": 2}\n')
    with pytest.raises(ValueError, match="has version 2 of the format; this rxws reads 1"):
        read(path)
    header = '{"recording":1,"start":null,"lanes":[],"about":{}}\n'
    for bad in ('{"time":"x"}', '{"time":1,"lane":"a","kind":"?"}', "nonsense", "\ufffd"):
        path.write_text(header + bad + "\n" + line(Event(1.0, "a", "completed")) + "\n")
        with pytest.raises(ValueError, match=r"r.jsonl, line 2: not an event"):
            list(read(path))
    whole = line(Event(1.0, "a", "next", "日本"))
    path.write_bytes((header + whole + "\n" + whole).encode()[:-4])
    assert len(list(read(path))) == 1
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")
