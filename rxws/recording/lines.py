"""Recordings as JSON lines: a header, then a line for each event.

The header is `{"recording": 1, "start": ..., "lanes": [...], "about": {...}}`, where 1 is the format's version. An
event is `{"time": seconds, "lane": ..., "kind": ...}` and what it carries: `data` (text or another JSON value),
`base64` (bytes), `error` (`type`, `text`, and the undecodable `message` or `message_base64`), `code` and `reason` (a
close), or `repr` (what JSON cannot say).
"""

from __future__ import annotations

import base64
import json
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from io import BufferedWriter, TextIOWrapper
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, cast

from rxws.close import Close
from rxws.errors import DecodeError, raise_fatal
from rxws.recording.disk import wait_for_disk
from rxws.recording.event import Event, Kind, RecordedError, Recording, Unreadable, name_of_error
from rxws.recording.files import open_alone
from rxws.recording.har import BEGINNING_SIZE, read_har
from rxws.rx.foreign import described

VERSION: Final = 1

MAX_HEADER: Final = 1024 * 1024
"""Bytes of the first line with its end. It has a limit, since a file that is not a recording may be one long line."""

_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
_dumps_ascii = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def header_line(recording: Recording) -> str:
    """Write what a recording is of.

    >>> header_line(Recording([], lanes=("ticks",), about={"url": "ws://localhost/feed"}))
    '{"recording":1,"start":null,"lanes":["ticks"],"about":{"url":"ws://localhost/feed"}}'
    """
    start = None if recording.start is None else recording.start.isoformat()
    text = _line({"recording": VERSION, "start": start, "lanes": recording.lanes, "about": dict(recording.about)})
    if len(text.encode()) >= MAX_HEADER:
        raise ValueError(
            f"the description of a recording must be less than {MAX_HEADER} bytes of JSON, not {len(text)}"
        )
    return text


def line(event: Event) -> str:
    """Write an event.

    >>> line(Event(0.5, "incoming", "next", {"a": 1}))
    '{"time":0.5,"lane":"incoming","kind":"next","data":{"a":1}}'
    >>> line(Event(0.5, "incoming", "next", b"hi"))
    '{"time":0.5,"lane":"incoming","kind":"next","base64":"aGk="}'
    >>> line(Event(1.0, "socket", "close", Close(4001, "bye")))
    '{"time":1.0,"lane":"socket","kind":"close","code":4001,"reason":"bye"}'
    """
    fields: dict[str, Any] = {"time": round(event.time, 6), "lane": event.lane, "kind": event.kind}
    match event.data:
        case None if event.kind != "next":
            return _line(fields)
        case Close(code=code, reason=reason):
            return _line({**fields, "code": code, "reason": reason})
        case BaseException() as error:
            return _line({**fields, "error": _error(error)})
        case bytes(data):
            return _line({**fields, "base64": base64.b64encode(data).decode()})
        case Unreadable(text):
            return _line({**fields, "repr": text})
        case data:
            try:
                return _line({**fields, "data": data})
            except BaseException as error:  # JSON cannot say it, or it is of a class of the user's
                raise_fatal(error)
                return _line({**fields, "repr": described(data)})


def event_of(text: str) -> Event:
    """Read an event; raises `ValueError` for a text that is not one.

    >>> event_of('{"time":0.5,"lane":"errors","kind":"next","error":{"type":"KeyError","text":"no"}}').data
    KeyError('no')
    """
    match _loads(text):
        case {"time": int() | float() as time, "lane": str(lane), "kind": str(kind), **rest} if kind in _CARRIES:
            if not 0 <= time <= sys.float_info.max:
                raise ValueError("expected a time of 0 or more seconds")
            data = _data(rest)
            if not isinstance(data, _CARRIES[kind]):
                raise ValueError(f"its data does not fit its kind: {described(data)[:80]}")
            return Event(float(time), lane, cast("Kind", kind), data)
        case _:
            raise ValueError("expected an object with a time, a lane and a kind")


def write(recording: Recording, file: str | Path) -> None:
    """Write a recording to a file.

    Args:
        recording: The recording.
        file: Where to write.

    Raises `OSError` if the file cannot be made, or while a recording is written there.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write(Recording([Event(0.5, "a", "next", 1)], lanes=("a",)), f"{folder}/a.jsonl")
    ...     list(read(f"{folder}/a.jsonl"))
    [Event(time=0.5, lane='a', kind='next', data=1)]
    """
    path = Path(file)
    events = recording.events
    if isinstance(events, _Lines) and path.exists() and path.samefile(events.path):
        recording = replace(recording, events=list(events))  # before they are overwritten
    with TextIOWrapper(BufferedWriter(open_alone(path)), encoding="utf-8", newline="\n") as lines:
        lines.write(header_line(recording) + "\n")
        lines.writelines(line(event) + "\n" for event in recording)


def read(file: str | Path) -> Recording:
    """Open a recording. Its events are read from the file whenever it is iterated over. Memory: one line.

    The file may also be a HAR file with messages of WebSockets, as the developer tools of Chromium and Playwright write
    it, which is read whole: lanes `incoming`, `outgoing` and `socket`, those of a second socket `incoming 2` and so on.

    Blocks until what is recorded in this process is written, for a second at most.

    Args:
        file: The file.

    Raises `OSError` if the file does not exist. Raises `ValueError` if it is a pipe, if it is not a recording, or if a
    newer version wrote it. Iterating raises `ValueError` at a line that is not an event. A last line that is not whole,
    where a recorder was killed, is ignored.
    """
    path = Path(file)
    wait_for_disk()
    kind = path.stat().st_mode
    if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or stat.S_ISCHR(kind):
        raise ValueError(f"{path} can be read only once, and a recording is read several times: give a file")
    with path.open("rb") as lines:
        first = lines.readline(MAX_HEADER)
        if not first.strip(b"\xef\xbb\xbf{ \t\r\n"):  # JSON over several lines
            first += lines.read(BEGINNING_SIZE)
    try:
        header = _loads(first)
    except ValueError:
        header = None
    match header:
        case {"recording": int(version)} if version > VERSION:
            raise ValueError(f"{path} has version {version} of the format; this rxws reads {VERSION}: update it")
        case {"recording": int(), "start": None | str() as start, "lanes": [*lanes], "about": {**about}}:
            with suppress(ValueError):
                began = None if start is None else datetime.fromisoformat(start)
                if all(isinstance(lane, str) for lane in lanes):
                    return Recording(_Lines(path), tuple(lanes), began, about)
        case _:
            pass
    if (from_har := read_har(path, first)) is not None:
        return from_har
    raise ValueError(f'{path} is not a recording: its first line should be like {{"recording": 1, ...}}')


class _Lines:
    """The events of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[Event]:
        wait_for_disk()
        with self.path.open("rb") as lines:
            next(lines, None)
            for number, text in enumerate(lines, 2):
                try:
                    event = event_of(text.decode())
                except ValueError as error:
                    if not text.endswith(b"\n"):
                        return
                    raise ValueError(f"{self.path}, line {number}: not an event: {error}") from error
                yield event

    def __repr__(self) -> str:
        return f"<events of {self.path}>"


_CARRIES: Final[dict[str, type | UnionType]] = {
    "next": object,
    "error": RecordedError | Close,
    "completed": NoneType,
    "open": str | None,
    "close": Close,
}
"""What an event of each kind carries."""


def _loads(text: str | bytes) -> Any:
    """Read JSON; raises `ValueError` for what is not, and nothing else."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _line(fields: dict[str, Any]) -> str:
    text = _dumps(fields)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates
        return _dumps_ascii(fields)
    return text


def _error(error: BaseException) -> dict[str, str]:
    fields = {"type": name_of_error(error), "text": described(error, str)}
    message = error.message if isinstance(error, (DecodeError, RecordedError)) else None
    if isinstance(message, str):
        fields["message"] = message
    elif isinstance(message, bytes):
        fields["message_base64"] = base64.b64encode(message).decode()
    return fields


def _data(rest: dict[str, Any]) -> Any:
    match rest:
        case {"code": int(code), "reason": str(reason)} if not isinstance(code, bool):
            return Close.received(code, reason)
        case {"error": {"type": str(name), "text": str(text), "message_base64": str(encoded)}}:
            return RecordedError(name, text, base64.b64decode(encoded, validate=True))
        case {"error": {"type": str(name), "text": str(text), "message": str(message)}}:
            return RecordedError(name, text, message)
        case {"error": {"type": str(name), "text": str(text)}}:
            return RecordedError(name, text)
        case {"base64": str(encoded)}:
            return base64.b64decode(encoded, validate=True)
        case {"repr": str(text)}:
            return Unreadable(text)
        case _:
            return rest.get("data")
