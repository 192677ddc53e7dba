"""What happened on a socket or on Observables, as a value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

Kind = Literal["next", "error", "completed", "open", "close"]

SOCKET_LANES: Final = ("incoming", "outgoing", "errors", "socket")
"""The lanes of a socket: its three streams, and its connections' beginning and end."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one lane.

    >>> Event(0.25, "incoming", "next", "hello")
    Event(time=0.25, lane='incoming', kind='next', data='hello')
    """

    time: float
    """Seconds since the start of the recording."""
    lane: str
    """`incoming`, `outgoing`, `errors` or `socket` of a socket; the caller's name of an Observable."""
    kind: Kind
    """`next`, and the ends `error` and `completed`; a connection's `open` and `close` on the lane `socket`, and on
    `incoming` the `close` frame of a peer that is the first to close."""
    data: Any = None
    """The item of a `next` (an exception, on the lane `errors`), the exception of an `error`, the `Close` of a `close`,
    the subprotocol of an `open`."""


@dataclass(frozen=True)
class Recording:
    """Events in order, and what they are of; iterate over it, as often as you like.

    >>> [event.data for event in Recording([Event(0.0, "a", "next", 1), Event(0.5, "a", "completed")], lanes=("a",))]
    [1, None]
    """

    events: Iterable[Event]
    """In the order in which they happened: a list, or a file that is read when it is iterated over."""
    lanes: tuple[str, ...] = ()
    """The lanes in the order in which they are drawn, those without events too."""
    start: datetime | None = None
    """When it began, with its time zone."""
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What identifies the socket: its `url`, `remote`, `protocol`; JSON values."""

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def lane(self, name: str) -> list[Event]:
        """Give the events of one lane.

        Args:
            name: The name of the lane.
        """
        return [event for event in self if event.lane == name]


class RecordedError(Exception):
    """An exception as a recording has it: the name of its class, and its text.

    >>> RecordedError("ValueError", "no")
    ValueError('no')
    """

    def __init__(self, type: str, text: str, message: str | bytes | None = None) -> None:
        super().__init__(type, text)
        self.type = type
        """The name of its class."""
        self.text = text
        self.message = message
        """What the peer had sent, of a `DecodeError`."""

    def __repr__(self) -> str:
        return f"{self.type}({self.text!r})"

    def __str__(self) -> str:
        return self.text


def name_of_error(error: BaseException) -> str:
    """Give the name of an error's class, of a recorded one as well; empty if that has none.

    >>> name_of_error(KeyError()), name_of_error(RecordedError("KeyError", "no"))
    ('KeyError', 'KeyError')
    """
    return error.type if isinstance(error, RecordedError) else type(error).__name__


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An item that JSON cannot say, as a recording has it: its `repr`."""

    text: str

    def __repr__(self) -> str:
        return self.text
