"""A recording played to a handler: a regression test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rxws.close import Close
from rxws.errors import DecodeError, ProtocolError
from rxws.recording import Event, RecordedError, Recording
from rxws.testing.notation import FRAME, Script
from rxws.testing.running import Run, run


def replay(handler: Callable[..., Any], recording: Recording, *, frame: float = FRAME, **options: Any) -> Run:
    """Let a handler have what a recorded socket got, when it did, in virtual time; see what it sends now.

    `assert replay(handler, recording) == recording` compares the messages that are sent, and the close, in order; not
    their times, since those of the recording were real. Messages that did not decode come again too, and so do the
    peer's close frame, its violation of the protocol, its disappearance. Options as of `run`, the `codec` above all.

    Args:
        handler: The handler.
        recording: The recording of a socket with one connection.
        frame: Seconds of a character of the diagram that is returned.
        options: As of `run`.

    Raises `ValueError` if the recording is not one of a socket with one connection.

    >>> from rxws import recording
    >>> made = Recording([Event(0.1, "incoming", "next", "a"), Event(0.1, "outgoing", "next", "a")])
    >>> print(replay(lambda incoming: incoming, made))
    -a
    """
    events = list(recording)
    if sum(event.lane == "socket" and event.kind == "open" for event in events) > 1:
        raise ValueError("a recording with several connections cannot be played to a handler, which has one")
    if not any(event.lane == "incoming" for event in events):
        raise ValueError("this is not a recording of a socket: it has no lane 'incoming'")
    return run(
        handler, Script(tuple(_peer(events)), max(event.time for event in events) + frame), frame=frame, **options
    )


def _peer(events: list[Event]) -> Iterator[Event]:
    """Give what the peer did."""
    ends = [event.data for event in events if event.lane == "socket" and event.kind == "close"]
    for event in events:
        match event:
            case Event(lane="incoming", kind="next" | "close"):
                yield event
            case Event(lane="errors", data=DecodeError() | RecordedError(type="DecodeError")):
                yield event
            case Event(lane="errors", data=ProtocolError() | RecordedError(type="ProtocolError")) if ends:
                yield Event(event.time, "incoming", "error", ProtocolError(str(event.data), ends[-1].code))
            case Event(lane="socket", data=Close(code=1006)):
                yield Event(event.time, "incoming", "error")
            case _:
                pass
