"""A pipeline that survives its errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from reactivex import Observable, abc
from reactivex.disposable import SerialDisposable

from rxws.operators.map_async import MapAsync

T = TypeVar("T")


def skip_errors(*, into: abc.ObserverBase[Exception]) -> Callable[[Observable[T]], Observable[T]]:
    """Continue after an error: report it to `into`, such as a socket's `errors`.

    ::

        source     --1----0----2-------|
                     map(lambda n: 1 / n), skip_errors(into=errors)
        result     --1.0-------0.5-----|
        errors     -------x-------------

    The item that failed is skipped. Directly after `map_async` or `filter_async`, an error of their function affects
    nothing else. After any other error it subscribes to its source again, which should be hot. The old subscription
    takes with it what the operators before it remember (`scan`), buffer or work on, so put it directly after the
    operator that may fail. An error while subscribing, as a cold source has, is passed on: the next attempt would only
    meet it again. Memory: none. Raises `TypeError` for an `into` that is not an Observer.

    Args:
        into: An Observer that gets the errors, such as the `errors` of a socket.

    >>> from reactivex import Subject, operators as ops
    >>> numbers, errors = Subject(), Subject()
    >>> _ = errors.subscribe(lambda error: print(type(error).__name__))
    >>> _ = numbers.pipe(ops.map(lambda number: 1 / number), skip_errors(into=errors)).subscribe(print)
    >>> for number in (1, 0, 2):
    ...     numbers.on_next(number)
    1.0
    ZeroDivisionError
    0.5
    """
    if not callable(getattr(into, "on_next", None)):
        raise TypeError(f"into must be a Subject or another Observer, such as socket.errors, not {into!r}")

    def operate(source: Observable[T]) -> Observable[T]:
        if isinstance(source, MapAsync):
            source = source.skipping(into)

        def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            upstream = SerialDisposable()
            subscribing = False

            def begin() -> None:
                nonlocal subscribing
                subscribing = True
                upstream.disposable = source.subscribe(
                    observer.on_next, fail, observer.on_completed, scheduler=scheduler
                )
                subscribing = False

            def fail(error: Exception) -> None:
                if subscribing:
                    observer.on_error(error)
                    return
                try:
                    into.on_next(error)
                finally:  # it goes on, even if who is told raises
                    if not upstream.is_disposed:
                        begin()

            begin()
            return upstream

        return Observable(subscribe)

    return operate
