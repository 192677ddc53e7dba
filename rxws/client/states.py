"""The states of a client's socket between its first attempt and its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rxws.close import Close
from rxws.errors import NO_HEADERS
from rxws.rx.broadcast import Replaying


@dataclass(frozen=True, slots=True)
class Connecting:
    """Opening a connection, and greeting on it."""

    attempt: int
    """The number of the attempt: counts from 1, and starts again after a stable connection."""


@dataclass(frozen=True, slots=True)
class Open:
    """There is a connection, and its greeting is done."""

    protocol: str | None
    """The negotiated subprotocol, if there is one."""
    attempt: int
    """The number of the attempt that succeeded."""
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS, repr=False, compare=False)
    """The headers of the server's answer to the handshake; names are case-insensitive."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """There is no connection; the next attempt follows after a delay."""

    delay: float
    """Seconds until the next attempt."""
    because: Exception
    """Why there is none: the peer's `Close`, a `ConnectionLost`, a `ConnectError`, or another error of an attempt."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The socket has ended; no other attempt follows."""

    close: Close
    """How it ended."""


State = Connecting | Open | Waiting | Closed


class States(Replaying[State]):
    """Emits the present state to each subscriber, then every change. Completes after `Closed`, and never fails."""

    def __init__(self, on_raise: Callable[[Exception], object]) -> None:
        super().__init__(1, on_raise)
        self.change(Connecting(1))

    def change(self, state: State) -> None:
        """Emit a new state."""
        self.present = state
        self.emit(state)
        if isinstance(state, Closed):
            self.end()
