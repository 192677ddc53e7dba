"""A message, and the answer to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxws.checks import positive
from rxws.core.lifecycle import Lifecycle
from rxws.errors import ConnectionLost, raise_fatal
from rxws.rx.foreign import as_error

T = TypeVar("T")


def request(life: Lifecycle, message: Any, matches: Callable[[T], bool], timeout: float) -> Observable[T]:
    """Make an Observable that sends a message for each subscriber, and emits the first answer that matches."""
    positive("timeout", timeout, "seconds")

    def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        upstream = CompositeDisposable()
        waiting = True

        def end(error: Exception) -> None:
            upstream.dispose()
            observer.on_error(error)

        def take(answer: T) -> None:
            try:
                if not matches(answer):
                    return
            except BaseException as error:
                end(as_error(error, "matches"))
                raise_fatal(error)
                return
            upstream.dispose()
            observer.on_next(answer)
            observer.on_completed()

        def lost(what: str) -> Callable[[Any], None]:
            return lambda given: end(ConnectionLost(what)) if given is message and not waiting else None

        def closed() -> None:
            end(ConnectionLost("the socket closed before the answer"))

        try:
            frame = life.outgoing.encode(message)
        except Exception as error:
            observer.on_error(error)
            return Disposable()
        upstream.add(life.incoming.subscribe(take, on_completed=closed))
        timer = life.thread.loop.call_later(timeout, end, TimeoutError(f"no answer within {timeout:g} s"))
        upstream.add(Disposable(timer.cancel))
        upstream.add(life.reports.undelivered.subscribe(lost("the connection was lost before the answer")))
        upstream.add(life.outgoing.dropped.subscribe(lost("the message was dropped before it was sent")))
        waiting = False
        if not upstream.is_disposed:
            life.thread.run(life.outgoing.send, message, frame)
        return upstream

    return Observable(subscribe)
