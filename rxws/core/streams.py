"""The streams of a socket that tell what went wrong: its errors, and what was not delivered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rxws.core.wire import Frame
from rxws.rx.broadcast import Broadcast, HotSubject, Replaying
from rxws.rx.loop_thread import LoopThread


class Errors(HotSubject[Exception]):
    """Emits exceptions; completes when the socket closes, and never fails.

    A handler may push its own: `on_next(error)`, or `on_error(error)`, which does the same. `on_completed` is
    ignored, so that several Observables can be subscribed to it. An error that nobody observes is logged on
    `rxws.server` or `rxws.client` and closes the socket. Takes calls from any thread.
    """

    def __init__(
        self,
        thread: LoopThread,
        log: Callable[[Exception], object],
        report: Callable[[Exception], object],
    ) -> None:
        self.is_stopped = False
        self._thread = thread
        self._log = log
        self._report = report
        self._broadcast = Broadcast(log)
        self.emit = self._broadcast.emit  # Broadcast.emit

    def on_next(self, value: Exception) -> None:
        """Report an error; raises `TypeError` for what is not an exception."""
        if not isinstance(value, Exception):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"errors takes exceptions, not {value!r}")
        if self._thread.here():
            self._report(value)
        elif not self._thread.hand_over(self._report, value):
            self._log(value)

    def on_error(self, error: Exception) -> None:
        """Report an error, as `on_next` does."""
        self.on_next(error)

    def on_completed(self) -> None:
        """Do nothing: the socket's end completes this stream."""

    def dispose(self) -> None:
        """Do nothing: the socket's end completes this stream."""

    def end(self, error: Exception | None = None) -> None:
        """Complete."""
        self.is_stopped = True
        super().end(error)

    def detach(self, log: Callable[[Exception], object]) -> None:
        """Forget whose it is, at the end: what comes from now on is logged."""
        self._broadcast.tell(log)
        self._report = self._log = log


class Undelivered(Replaying[Any]):
    """Emits messages when it is known that they were not delivered; completes when the socket closes.

    Late subscribers get those of before, too: the newest, as many as weigh `limit` bytes.
    """

    def detach(self, log: Callable[[Exception], object]) -> None:
        """Forget whose it is, at the end: what late subscribers raise is logged."""
        self._broadcast.tell(log)

    def report(self, *items: Frame) -> None:
        """Emit messages, but not those of the socket's own that are sent again on the next connection."""
        for item in items:
            if item.connection is None:
                self.emit(item.message, item.weight)
