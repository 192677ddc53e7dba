"""Who waits for a slow peer: chosen, where the rule does not suit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar, get_args

from reactivex import Observable, abc

from rxws.checks import one_of
from rxws.rx.holds import Chosen, current_source

T = TypeVar("T")

WhenFull = Literal["hold", "overflow"]


def when_full(action: WhenFull) -> Callable[[Observable[T]], Observable[T]]:
    """Choose whether a peer that reads slowly slows the source of what it is sent.

    ::

        source     --abcdef-----------g-h--|
                     when_full("hold")
        result     --abcdef-----------g-h--|     a peer is slow at f: the source waits

    While more than `high_water` bytes wait in the `outgoing` of a socket, `"hold"` holds the source, however many other
    subscribers it has. `"overflow"` lets the source go on, even if it is this socket's alone, and the socket's
    `overflow` policy applies. Without this operator, a source is held if it was made for this socket alone, in its
    handler: docs/flow-control.md. It does not change items. Of several in a row, the last one counts. Sockets and
    asynchronous iterables can be held; timers, topics and feeds cannot. For items from a room, the socket that sent
    them is held. Memory: none.

    Args:
        action: `"hold"` or `"overflow"`.

    Raises `ValueError` for another action.

    >>> import reactivex
    >>> reactivex.of(1, 2, 3).pipe(when_full("hold")).run()
    3
    """
    one_of("action", action, get_args(WhenFull))
    holds = action == "hold"

    def operate(source: Observable[T]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            chosen: Chosen | None = None

            def on_next(item: T) -> None:
                nonlocal chosen
                present = current_source.get()
                if present is None:
                    observer.on_next(item)
                    return
                if chosen is None or chosen.source is not present:
                    chosen = Chosen(present, holds)
                token = current_source.set(chosen)
                try:
                    observer.on_next(item)
                finally:
                    current_source.reset(token)

            return source.subscribe(on_next, observer.on_error, observer.on_completed, scheduler=scheduler)

        return Observable(subscribe)

    return operate
