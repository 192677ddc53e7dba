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
    """Play a recording to a handler, in virtual time at the recorded pace, and return what the handler sends.

    `assert replay(handler, recording) == recording` compares the sent messages and the close, in order. It does not
    compare times, because those of the recording were real. Messages that did not decode are played too. So are the
    peer's close frame, a violation of the protocol, and a lost connection. Options are those of `run`; give the same
    `codec` as in the recording.

    Args:
        handler: The handler.
        recording: The recording of a socket with one connection.
        frame: Seconds per character of the returned diagram.
        options: As for `run`.

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
