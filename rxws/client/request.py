"""A message, and the answer to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxws.core.lifecycle import Lifecycle
from rxws.errors import ConnectionLost

T = TypeVar("T")


class Request(Observable[T]):
    """Sends a message to each subscriber's order, and emits the first answer that matches; made by `socket.request`."""

    def __init__(self, life: Lifecycle, message: Any, matches: Callable[[T], bool], timeout: float) -> None:
        super().__init__()
        self._life = life
        self._message = message
        self._matches = matches
        self._timeout = timeout

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        life, message = self._life, self._message
        upstream = CompositeDisposable()
        waiting = True

        def end(error: Exception) -> None:
            upstream.dispose()
            observer.on_error(error)

        def take(answer: T) -> None:
            try:
                if not self._matches(answer):
                    return
            except Exception as error:
                end(error)
                return
            upstream.dispose()
            observer.on_next(answer)
            observer.on_completed()

        def lost(what: str) -> Callable[[Any], None]:
            return lambda given: end(ConnectionLost(what)) if given is message and not waiting else None

        try:
            life.outgoing.encode(message)
        except Exception as error:
            observer.on_error(error)
            return Disposable()
        late = TimeoutError(f"no answer within {self._timeout:g} s")
        timer = life.thread.loop.call_later(self._timeout, end, late)
        upstream.add(Disposable(timer.cancel))
        upstream.add(
            life.incoming.subscribe(
                take, on_completed=lambda: end(ConnectionLost("the socket closed before the answer"))
            )
        )
        upstream.add(life.reports.undelivered.subscribe(lost("the connection was lost before the answer")))
        upstream.add(life.outgoing.dropped.subscribe(lost("the message was dropped before it was sent")))
        waiting = False
        if not upstream.is_disposed:
            life.outgoing.on_next(message)
        return upstream
