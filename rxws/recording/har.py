"""Recordings from HAR files, as the developer tools of browsers and Playwright write them.

They have the messages of a WebSocket in `_webSocketMessages` of its entry: `type` (`send` or `receive`), `time`,
`opcode` and `data`, in base64 with the opcode of binary messages. Chromium's times are seconds, Playwright's are
milliseconds. Firefox writes no messages.
"""

from __future__ import annotations

import base64
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from rxws.recording.event import SOCKET_LANES, Event, RecordedError, Recording
from rxws.rx.foreign import described

HAR_BEGINNING: Final = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"log"\s*:')
"""How a HAR file begins, within `BEGINNING_SIZE`."""

BEGINNING_SIZE: Final = 1024
"""Bytes that are enough to see whether a file is a HAR file."""

ZIP: Final = b"PK\x03\x04"
"""How a HAR file begins that Playwright has packed with its resources."""

MILLISECONDS: Final = 1e11
"""Times from here on are milliseconds: as seconds they would be of the year 5138."""

LATEST: Final = 253_402_300_799.0
"""The last second that a date can have."""

A_DAY: Final = 86_400.0

BINARY_OPCODE: Final = 2
FIRST_CONTROL_OPCODE: Final = 8
"""Opcodes from here on are not those of messages (RFC 6455, section 5.2)."""

DIRECTIONS: Final = {"receive": "incoming", "send": "outgoing"}

ReadFile = Callable[[str], bytes]
"""Gives what a file contains, by its name."""


def read_har(path: Path, beginning: bytes) -> Recording | None:
    """Read a HAR file: the messages of its WebSockets, at the times at which they came.

    The lanes of the first socket are `incoming`, `outgoing` and `socket`, and `errors` where there are any; those of
    the second one are `incoming 2` and so on. `about` has the `url`, or the `urls`, without their queries. The file may
    be packed, as Playwright packs it, and have the messages in files beside it. Memory: the whole file.

    Returns `None` for what does not begin as a HAR file. Raises `ValueError` for one without messages of WebSockets, or
    with what does not belong there.
    """
    try:
        if beginning.startswith(ZIP):
            with zipfile.ZipFile(path) as archive:
                return _recording(archive.read("har.har"), archive.read)
        if HAR_BEGINNING.match(beginning):
            return _recording(path.read_bytes(), lambda name: (path.parent / Path(name).name).read_bytes())
    except (ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is not a HAR file with messages of WebSockets: {error}") from error
    return None


def _recording(text: bytes, read: ReadFile) -> Recording:
    events: list[Event] = []
    lanes: list[str] = []
    urls: list[str] = []
    for entry in _list(_at(json.loads(text.decode("utf-8-sig")), "log", "entries")):
        messages = _messages(entry, read)
        if messages:
            number = f" {len(urls) + 1}" if urls else ""
            urls.append(_without_secrets(str(_at(entry, "request", "url"))))
            there = _events(entry, messages)
            used = {event.lane for event in there}
            lanes += [f"{lane}{number}" for lane in SOCKET_LANES if lane != "errors" or lane in used]
            events += [replace(event, lane=f"{event.lane}{number}") for event in there]
    if not urls:
        raise ValueError("it has none; Chromium's developer tools and Playwright write them, Firefox does not")
    events.sort(key=_time)
    start = events[0].time
    events = [replace(event, time=round(event.time - start, 6)) for event in events]
    about = {"url": urls[0]} if len(urls) == 1 else {"urls": urls}
    return Recording(events, tuple(lanes), datetime.fromtimestamp(start, UTC), about)


def _messages(entry: Any, read: ReadFile) -> list[Any]:
    messages = _at(entry, "_webSocketMessages")
    file = _at(entry, "response", "content", "_file")
    if messages is None and _at(entry, "_resourceType") == "websocket" and isinstance(file, str):
        messages = [json.loads(line) for line in read(file).splitlines()]
    return _list(messages)


def _events(entry: Any, messages: list[Any]) -> list[Event]:
    """Give the opening and the messages of a socket, in seconds since 1970; one without a time follows at once."""
    first = next((at for message in messages if (at := _seconds(_at(message, "time"))) is not None), None)
    began = _began(_at(entry, "startedDateTime"))
    if first is not None and (began is None or not 0 <= first - began < A_DAY):  # of another clock
        began = first
    at = began or 0.0
    events = [Event(at, "socket", "open", _protocol(_at(entry, "response", "headers")))]
    for message in messages:
        at = max(at, _seconds(_at(message, "time")) or at)
        match message:
            case {"opcode": int(opcode)} if opcode >= FIRST_CONTROL_OPCODE:
                pass
            case {"type": "error", "data": str(text)}:
                events.append(Event(at, "errors", "next", RecordedError("WebSocketError", text)))
            case {"type": "send" | "receive" as way, "opcode": int(opcode), "data": str(text)}:
                data = base64.b64decode(text, validate=True) if opcode == BINARY_OPCODE else text
                events.append(Event(at, DIRECTIONS[way], "next", data))
            case _:
                raise ValueError(f"this is not a message: {described(message)[:80]}")
    return events


def _without_secrets(url: str) -> str:
    return re.sub(r"//[^/]*@", "//", re.split(r"[?#]", url, maxsplit=1)[0])


def _seconds(time: object) -> float | None:
    """Read a time in seconds or milliseconds; Playwright writes -1 for one that it leaves out."""
    if isinstance(time, bool) or not isinstance(time, (int, float)) or not 0 <= time <= 1000 * LATEST:
        return None
    return time / 1000 if time >= MILLISECONDS else float(time)


def _began(text: object) -> float | None:
    try:
        return max(datetime.fromisoformat(str(text)).timestamp(), 0.0)
    except (ValueError, OverflowError):
        return None


def _protocol(headers: Any) -> str | None:
    for header in _list(headers):
        match header:
            case {"name": str(name), "value": str(value)} if name.lower() == "sec-websocket-protocol":
                return value
            case _:
                pass
    return None


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = cast("Mapping[str, Any]", value).get(name) if isinstance(value, Mapping) else None
    return value


def _time(event: Event) -> float:
    return event.time
