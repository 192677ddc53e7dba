"""A message, and the answer to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxws.checks import positive
from rxws.codecs import Codec
from rxws.core.ahead import encode_ahead
from rxws.core.encoding import encode
from rxws.core.lifecycle import Lifecycle
from rxws.core.wire import Frame
from rxws.errors import ConnectionLost, raise_fatal
from rxws.rx.foreign import as_error
from rxws.rx.loop_thread import RAN_AHEAD

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

        def begin(frame: Frame | None, codec: Codec[Any, Any]) -> None:
            nonlocal waiting
            if upstream.is_disposed:
                return
            try:
                if frame is None:
                    codec = life.outgoing.codec
                    frame = encode(codec, message)
            except Exception as error:
                end(error)
                return
            upstream.add(life.incoming.subscribe(take, on_completed=closed))
            if upstream.is_disposed:
                return
            timer = loop.call_later(timeout, end, TimeoutError(f"no answer within {timeout:g} s"))
            upstream.add(Disposable(timer.cancel))
            upstream.add(life.reports.undelivered.subscribe(lost("the connection was lost before the answer")))
            upstream.add(life.outgoing.dropped.subscribe(lost("the message was dropped before it was sent")))
            waiting = False
            life.outgoing.send(message, frame, codec)

        thread, loop, codec = life.thread, life.thread.loop, life.outgoing.codec
        if thread.here() or loop.is_closed():
            begin(None, codec)
        else:
            frame, weight = encode_ahead(codec, message)
            if not thread.hand_over(begin, frame, codec, weight=weight):
                end(ConnectionLost("the socket is closing" if thread.ending else RAN_AHEAD))
        return Disposable(lambda: thread.run(upstream.dispose))

    return Observable(subscribe)
