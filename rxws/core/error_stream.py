"""The errors of a socket, as a Subject."""

from __future__ import annotations

from collections.abc import Callable

from reactivex import abc

from rxws.rx.broadcast import Broadcast, Sink
from rxws.rx.loop_thread import MAX_HANDED_OVER, LoopThread


class Errors(Sink[Exception]):
    """Emits exceptions; completes when the socket closes, and never fails.

    A handler may push its own: `on_next(error)`, or `on_error(error)`, which does the same. `on_completed` is
    ignored, so that several Observables can be subscribed to it. An error that nobody observes is logged on
    `rxws.server` or `rxws.client` and closes the socket. Takes calls from any thread.
    """

    def __init__(
        self, thread: LoopThread, log: Callable[[Exception], object], report: Callable[[Exception], object]
    ) -> None:
        self.is_stopped = False
        self._thread = thread
        self._log = log
        self._report = report
        self._broadcast = Broadcast(log)
        self.emit = self._broadcast.emit

    @property
    def observed(self) -> bool:
        """Whether anyone is subscribed."""
        return bool(self._broadcast.observers)

    def on_next(self, value: Exception) -> None:
        """Report an error; raises `TypeError` for what is no exception."""
        if not isinstance(value, Exception):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"errors takes exceptions, not {value!r}")
        if self._thread.here():
            self._report(value)
        elif not self._thread.hand_over(self._report, value, limit=MAX_HANDED_OVER):
            self._log(value)

    def on_error(self, error: Exception) -> None:
        """Report an error, as `on_next` does."""
        self.on_next(error)

    def on_completed(self) -> None:
        """Do nothing: the socket's end completes this stream."""

    def dispose(self) -> None:
        """Do nothing: the socket's end completes this stream."""

    def end(self) -> None:
        """Complete."""
        self.is_stopped = True
        self._broadcast.end()

    def _subscribe_core(
        self, observer: abc.ObserverBase[Exception], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._broadcast.subscribe(observer)
