"""A bounded buffer before whoever is busy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, Generic, Literal, TypeVar, get_args

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxws.checks import one_of, positive_int
from rxws.errors import FeedbackLoop
from rxws.rx.broadcast import Broadcast
from rxws.rx.holds import Holds, Source, Via, current_source, notify_from

T = TypeVar("T")

BufferOverflow = Literal["fail", "drop_oldest", "drop_newest"]


def buffered(
    limit: int, *, overflow: BufferOverflow = "fail", dropped: Callable[[Any], object] | None = None
) -> Callable[[Observable[T]], Observable[T]]:
    """Keep up to `limit` items while an operator behind it is busy, `map_async` say.

    ::

        source     --abcd----------------|
                     buffered(2, overflow="drop_oldest"), map_async(f)
        result     ------A---C---D-------|      b is dropped while a is at work

    Emits at once while nobody behind it is busy. At the limit, sockets are held, and what comes from sources that
    cannot be held follows `overflow`: the result fails with `OverflowError`, or the oldest or newest item is dropped,
    and given to `dropped`. Completes when the source has and the buffer is empty; an error comes at once. Memory:
    `limit` items; with "fail", one more of each socket that is held then. A source that its own result feeds, 1,000
    times at once or `limit` if that is more, fails with `FeedbackLoop`.

    Raises `TypeError` or `ValueError` for a limit that is not a positive `int` or an unknown policy.

    >>> import reactivex
    >>> reactivex.of(1, 2, 3).pipe(buffered(10)).run()
    3
    """
    positive_int("limit", limit, "items")
    one_of("overflow", overflow, get_args(BufferOverflow))

    def operate(source: Observable[T]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            buffer = _Buffer(observer, limit, overflow, dropped or (lambda item: None))
            buffer.upstream.add(source.subscribe(buffer.take, buffer.fail, buffer.complete, scheduler=scheduler))
            return Disposable(buffer.stop)

        return Observable(subscribe)

    return operate


class _Buffer(Generic[T]):
    """One subscription; those behind it can hold it."""

    def __init__(
        self, observer: abc.ObserverBase[T], limit: int, overflow: BufferOverflow, dropped: Callable[[Any], object]
    ) -> None:
        self.upstream = CompositeDisposable()
        self._observer = observer
        self._limit = limit
        self._overflow = overflow
        self._dropped = dropped
        self._items: deque[tuple[T, Source | None, Context]] = deque()
        self._holds = Holds()
        self._held = 0
        self._emitting = False
        self._completed = False

    def take(self, item: T) -> None:
        source = current_source.get()
        if len(self._items) >= self._limit and not (self._overflow == "fail" and self._holds.hold(source)):
            if self._overflow == "fail":
                self.fail(OverflowError(f"{self._limit} items are buffered, and one more came"))
                return
            if self._overflow == "drop_newest":
                self._dropped(item)
                return
            oldest, its_source, _ = self._items.popleft()
            _let_go(its_source)
            self._dropped(oldest)
        if source is not None:
            source.take_in_hand()
        self._items.append((item, source, copy_context()))
        self._drain()
        if len(self._items) >= self._limit:
            self._holds.hold(source)

    def complete(self) -> None:
        self._completed = True
        self._drain()

    def fail(self, error: Exception) -> None:
        self.stop()
        self._observer.on_error(error)

    def stop(self) -> None:
        """Forget everything, and let the sources go."""
        self.upstream.dispose()
        items, self._items = self._items, deque()
        self._holds.release()
        for _, source, _ in items:
            _let_go(source)

    def hold(self) -> None:
        """Keep what comes."""
        self._held += 1

    def release(self) -> None:
        """Emit again what was kept."""
        self._held -= 1
        self._drain()

    def _drain(self) -> None:
        if self._emitting:
            return
        self._emitting = True
        source: Source | None = None
        try:
            fed = -len(self._items)
            while self._items and not self._held:
                item, source, context = self._items.popleft()
                try:
                    fed += 1
                    if fed > max(self._limit, Broadcast.max_fed):
                        self.fail(FeedbackLoop(item, fed))
                        break
                    context.run(notify_from, Via(self, source), self._observer.on_next, item)
                finally:
                    _let_go(source)
        finally:
            self._emitting = False
        if len(self._items) < self._limit:
            self._holds.release()
        if self._completed and not self._items:
            self._completed = False
            notify_from(source, self._observer.on_completed)


def _let_go(source: Source | None) -> None:
    if source is not None:
        source.let_go()
