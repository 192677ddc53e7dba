"""Where a client's socket is between its first attempt and its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reactivex import abc

from rxws.close import Close
from rxws.rx.broadcast import Broadcast, HotObservable


@dataclass(frozen=True, slots=True)
class Connecting:
    """Opening a connection."""

    attempt: int
    """Counts from 1, and anew after a connection that was stable."""


@dataclass(frozen=True, slots=True)
class Open:
    """Connected."""

    protocol: str | None
    """The subprotocol that was negotiated."""
    attempt: int
    """The attempt that succeeded."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Offline, until the next attempt."""

    delay: float
    """Seconds."""
    because: Exception
    """Why: the peer's `Close`, a `ConnectionLost`, a `ConnectError`."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Ended for good."""

    close: Close


State = Connecting | Open | Waiting | Closed


class States(HotObservable[State]):
    """Emits the present state to each subscriber, then every change; completes after `Closed`. It never fails."""

    def __init__(self, on_raise: Callable[[Exception], object]) -> None:
        self.present: State = Connecting(1)
        self._broadcast: Broadcast[State] = Broadcast(on_raise)

    def change(self, state: State) -> None:
        """Emit a new state."""
        self.present = state
        self._broadcast.emit(state)
        if isinstance(state, Closed):
            self.end()

    def _subscribe_core(self, observer: abc.ObserverBase[State], scheduler: object = None) -> abc.DisposableBase:
        observer.on_next(self.present)
        return super()._subscribe_core(observer)
