r"""Marble diagrams in text: what tests say happens, and when.

Each character is a moment, one frame after the character before it. At `-` nothing happens; the others say what does:

| | |
|---|---|
| `a`, `7` | the message `"a"`, `"7"`, or what `values` says it stands for |
| `"hello"`, `{"a": 1}`, `[1, 2]` | a message in JSON, in one frame |
| `<42>`, `<null>`, `<0x6869>` | any other message: JSON, or bytes |
| `\|` | a normal end: completion; of a peer, close 1000 |
| `#`, `(# KeyError)` | an error, of that class if it has a name; of a peer, the connection is lost |
| `(refused 403)` | the handshake was answered with this status, in place of a socket |
| `(close 4001 bye)` | a close with its code, and its reason if that matters |
| `(ab)`, `(a\|)`, `(a close 4001)` | all in the same frame |
| ` 20s `, ` 1.5s `, ` 250ms `, ` 3m ` | time that passes, between spaces; within parentheses too |
| ` ` | nothing, to line diagrams up |
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from rxws.checks import positive
from rxws.close import Close
from rxws.recording.event import Event, Kind, RecordedError, name_of_error

FRAME: Final = 0.1
"""Seconds of a frame, unless a test says otherwise."""

_TIME: Final = re.compile(r"(?<![^\s(])(\d+(?:\.\d+)?)(ms|s|m)(?![^\s)])")
_CLOSE: Final = re.compile(r"close (\d{4})(?: ([^)]*))?(?=\))")
_REFUSED: Final = re.compile(r"refused (\d{3})(?=\))")
_WITHOUT_NUMBER: Final = re.compile(r"(close|refused)(?![^\s)])(?=[^)]*\))")
_ERROR: Final = re.compile(r"#(?: ?([A-Za-z_]\w*))?")
_OTHER: Final = re.compile(r"<([^>]*)>")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}
_NOT_MESSAGES: Final = frozenset('-|#()<>"{}[] ,:')


@dataclass(frozen=True)
class RefusedHandshake:
    """A handshake that was answered with an HTTP status in place of a socket."""

    status: int


@dataclass(frozen=True)
class Script:
    """What a diagram says."""

    events: tuple[Event, ...]
    duration: float
    """Seconds, to the end of the diagram."""


def parse(text: str, *, lane: str = "", frame: float = FRAME, values: Mapping[str, Any] | None = None) -> Script:
    """Read a diagram; raises `ValueError` that points at what is wrong.

    Args:
        text: The diagram.
        lane: The name of the lane that the events are of.
        frame: Seconds of a character.
        values: The messages that single characters stand for.

    >>> [(event.time, event.kind, event.data) for event in parse("-a-(b|)").events]
    [(0.1, 'next', 'a'), (0.3, 'next', 'b'), (0.3, 'completed', None)]
    >>> parse("-a-?")
    Traceback (most recent call last):
        ...
    ValueError: '?' means nothing in a marble diagram: "?" in quotes is a message
    -a-?
       ^
    """
    return _Reader(text, lane, frame, values or {}).read()


def write(events: Iterable[Event], *, frame: float = FRAME, values: Mapping[str, Any] | None = None) -> str:
    """Write a diagram.

    Args:
        events: The events.
        frame: Seconds of a character.
        values: The messages that single characters stand for.

    >>> write(parse("-a-(b|)  ", frame=0.5).events, frame=0.5)
    '-a-(b|)'
    >>> write([Event(0.25, "", "next", "a"), Event(60, "", "close", Close(4001))])
    '250ms a 59.65s (close 4001)'
    """
    parts: list[str] = []
    now = 0.0
    for moment in moments(events, frame):
        parts.append(gap(moment[0].time - now, frame))
        parts.append(moment_text(moment, values or {}))
        now = moment[-1].time + frame
    return _joined(parts).strip()


def moments(events: Iterable[Event], frame: float) -> list[list[Event]]:
    """Group the events that need parentheses: those within a frame."""
    groups: list[list[Event]] = []
    for event in events:
        if groups and event.time < groups[-1][-1].time + frame * 0.99:
            groups[-1].append(event)
        else:
            groups.append([event])
    return groups


def gap(seconds: float, frame: float) -> str:
    """Write time in which nothing happens: frames, or a number where they are many or not whole.

    >>> gap(0.3, 0.1), gap(7.2, 0.1), gap(0.25, 0.1), gap(0.0, 0.1)
    ('---', ' 7.2s ', ' 250ms ', '')
    """
    frames = seconds / frame
    if abs(frames - round(frames)) < 0.02 and frames < 40:
        return "-" * round(frames)
    seconds = round(seconds, 6)
    return f" {_digits(seconds)}s " if seconds >= 1 else f" {_digits(seconds * 1000)}ms "


def _digits(number: float) -> str:
    """Write a number as diagrams have it, without an exponent."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def moment_text(moment: list[Event], values: Mapping[str, Any]) -> str:
    """Write what happens within a frame."""
    parts = [event_text(moment[0], values)]
    for before, event in pairwise(moment):
        if event.time - before.time > 1e-6:
            parts.append(f" {_digits(round((event.time - before.time) * 1000, 3))}ms ")
        elif isinstance(before.data, BaseException) or isinstance(event.data, BaseException):
            parts.append(" ")
        parts.append(event_text(event, values))
    text = _joined(parts)
    return f"({text})" if len(moment) > 1 or text.startswith(("close ", "refused ", "# ")) else text


def _joined(parts: Iterable[str]) -> str:
    """Put parts one after the other; a space keeps the messages "7" and "m" from being 7 minutes."""
    text = ""
    for part in parts:
        text += f" {part}" if text[-1:].isdecimal() and part.startswith(("m", "s")) else part
    return text


def event_text(event: Event, values: Mapping[str, Any]) -> str:
    """Write one event, without the parentheses it may need."""
    match event.kind, event.data:
        case _, Close(code=code, reason=reason):
            return f"close {code} {reason}".rstrip()
        case _, RefusedHandshake(status=status):
            return f"refused {status}"
        case _, BaseException() as error:
            return f"# {name_of_error(error)}".rstrip()
        case "completed", _:
            return "|"
        case "error", _:
            return "#"
        case _:
            return value_text(event.data, values)


def value_text(data: Any, values: Mapping[str, Any]) -> str:
    """Write a message."""
    for name, value in values.items():
        if type(value) is type(data) and value == data:
            return name
    if isinstance(data, str) and len(data) == 1 and data not in _NOT_MESSAGES and data.isalnum() and data not in values:
        return data
    if isinstance(data, bytes):
        return f"<0x{data.hex()}>"
    try:
        text = json.dumps(data, ensure_ascii=False, separators=(", ", ": "))
    except (TypeError, ValueError):
        return f"<{data!r}>"
    return text if text[0] in '"{[' else f"<{text}>"


class _Reader:
    """One diagram being read."""

    def __init__(self, text: str, lane: str, frame: float, values: Mapping[str, Any]) -> None:
        positive("frame", frame, "seconds")
        for name in values:
            if len(name) != 1 or name in "-|#() ":
                raise ValueError(f"values takes names of one character without another meaning, not {name!r}")
        self._text = text
        self._lane = lane
        self._frame = frame
        self._values = values
        self._at = 0
        self._now = 0.0
        self._group: int | None = None
        self._events: list[Event] = []

    def read(self) -> Script:
        while self._at < len(self._text):
            self._token()
        if self._group is not None:
            raise self._wrong("this parenthesis is not closed", self._group)
        return Script(tuple(self._events), round(self._now, 9))

    def _token(self) -> None:
        character = self._text[self._at]
        if character == " ":
            self._at += 1
        elif match := _TIME.match(self._text, self._at):
            self._at = match.end()
            self._now += float(match[1]) * _UNITS[match[2]]
        elif character == "-":
            self._at += 1
            self._now += self._frame
            if self._group is not None:
                raise self._wrong("within parentheses, write time as ' 50ms '", self._at - 1)
        elif character == "(":
            if self._group is not None:
                raise self._wrong("parentheses within parentheses", self._at)
            self._group = self._at
            self._at += 1
        elif character == ")":
            if self._group is None:
                raise self._wrong("no parenthesis is open here", self._at)
            self._group = None
            self._at += 1
            self._now += self._frame
        else:
            self._events.append(self._event(character))
            if self._group is None:
                self._now += self._frame

    def _event(self, character: str) -> Event:
        if self._group is not None and (match := _CLOSE.match(self._text, self._at)):
            start, self._at = self._at, match.end()
            try:
                return self._make("close", Close.received(int(match[1]), (match[2] or "").strip()))
            except ValueError as error:
                raise self._wrong(str(error), start) from error
        if self._group is not None and (match := _REFUSED.match(self._text, self._at)):
            self._at = match.end()
            return self._make("error", RefusedHandshake(int(match[1])))
        if self._group is not None and (match := _WITHOUT_NUMBER.match(self._text, self._at)):
            example = "(close 4001 bye)" if match[1] == "close" else "(refused 403)"
            raise self._wrong(f"expected a number after '{match[1]}', as in '{example}'", self._at)
        if character == "|":
            self._at += 1
            return self._make("completed", None)
        if match := _ERROR.match(self._text, self._at) if self._group is not None else None:
            self._at = match.end()
            return self._make("error", RecordedError(match[1] or "", ""))
        if character == "#":
            self._at += 1
            return self._make("error", RecordedError("", ""))
        return self._make("next", self._value(character))

    def _value(self, character: str) -> Any:
        if character in self._values:
            self._at += 1
            return self._values[character]
        if character.isalnum():
            self._at += 1
            return character
        start = self._at
        try:
            if match := _OTHER.match(self._text, start):
                self._at = match.end()
                return bytes.fromhex(match[1][2:]) if match[1].startswith("0x") else json.loads(match[1])
            if character in '"{[':
                value, self._at = json.JSONDecoder().raw_decode(self._text, start)
                return value
        except ValueError as error:
            raise self._wrong(f"this is not JSON: {error}", start) from error
        raise self._wrong(
            f'{character!r} means nothing in a marble diagram: "{character}" in quotes is a message', start
        )

    def _make(self, kind: Kind, data: Any) -> Event:
        return Event(round(self._now, 9), self._lane, kind, data)

    def _wrong(self, what: str, at: int) -> ValueError:
        return ValueError(f"{what}\n{self._text}\n{' ' * at}^")
