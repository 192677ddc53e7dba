"""`map` with a coroutine function."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from itertools import islice
from typing import Any, Final, Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxws.checks import positive_int
from rxws.errors import raise_fatal
from rxws.rx.foreign import as_error, cancelled
from rxws.rx.holds import MAX_WAITING, Holds, Via, WaitingItems, current_source, notify_from
from rxws.rx.loop_thread import LoopThread

T = TypeVar("T")
R = TypeVar("R")

NOTHING: Final[Any] = object()
"""A result that is not emitted."""


def map_async(
    function: Callable[[T], Awaitable[R]], *, max_concurrent: int = 1, ordered: bool = True
) -> Callable[[Observable[T]], Observable[R]]:
    """Map each item with a coroutine function, at most `max_concurrent` at a time.

    ::

        source     --a-----b--c------------|
                     map_async(f)
        result     -----A-----B---C--------|      one at a time: c waits for b

    Emits the results, in the order of the items if `ordered`, else as they are ready. Completes when the source has
    and all results are there; fails with the first error of the source or the function, which cancels the others; with
    `skip_errors` right behind it goes on after those of the function. Disposing cancels the tasks that run.

    Each item is worked on, and its result emitted, in the context (`ContextVar`) in which it came.

    While all slots are in use, the sockets that the items came from are held: nothing more is read from them. While an
    operator behind it is busy, results keep their slots. Memory: `max_concurrent` items and results, one item that
    waits of each socket that is held, and 1,024 of sources that cannot be held and of sockets that have left. Beyond,
    the result fails with `OverflowError`; if it was a socket's item that went over, that is told, on its `errors`.

    Needs a running event loop when it is subscribed; items may come from other threads. Raises `TypeError` or
    `ValueError` if `max_concurrent` is not a positive `int`.

    >>> import asyncio, reactivex
    >>> from reactivex import operators as ops
    >>> async def double(number):
    ...     await asyncio.sleep(0)
    ...     return number * 2
    >>> async def main():
    ...     return await reactivex.of(1, 2, 3).pipe(map_async(double), ops.to_list())
    >>> asyncio.run(main())
    [2, 4, 6]
    """
    positive_int("max_concurrent", max_concurrent, "items")
    return lambda source: MapAsync(source, function, max_concurrent, ordered)


class MapAsync(Observable[R]):
    """What `map_async` makes of a source."""

    def __init__(
        self,
        source: Observable[Any],
        function: Callable[[Any], Awaitable[R]],
        slots: int,
        ordered: bool,
        into: abc.ObserverBase[Exception] | None = None,
    ) -> None:
        super().__init__()
        self._source = source
        self._work = function, slots, ordered
        self._into = into

    def skipping(self, into: abc.ObserverBase[Exception]) -> MapAsync[R]:
        """The same, but errors of the function go to `into`, and it goes on."""
        return MapAsync(self._source, *self._work, into)

    def _subscribe_core(
        self, observer: abc.ObserverBase[R], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        work = _Work(observer, *self._work, self._into)
        upstream = self._source.subscribe(work.take, work.fail, work.source_completed, scheduler=scheduler)
        work.upstream.add(upstream)
        return Disposable(work.stop)


class _Job(Generic[T]):
    """An item on its way: its source and context, its task, its result."""

    __slots__ = ("context", "done", "item", "result", "source", "task")

    def __init__(self, item: T) -> None:
        self.item = item
        self.source = current_source.get()
        self.context = copy_context()
        self.task: asyncio.Task[None] | None = None
        self.done = False
        self.result: Any = None


class _Work(Generic[T, R]):
    """One subscription: the slots, and who waits for one."""

    def __init__(
        self,
        observer: abc.ObserverBase[R],
        function: Callable[[T], Awaitable[R]],
        slots: int,
        ordered: bool,
        into: abc.ObserverBase[Exception] | None,
    ) -> None:
        self.upstream = CompositeDisposable()
        self._function = function
        self._observer = observer
        self._slots = slots
        self._ordered = ordered
        self._into = into
        self._thread = LoopThread(asyncio.get_running_loop(), max_calls=MAX_WAITING)
        self._running: deque[_Job[T]] = deque()
        self._waiting: WaitingItems[_Job[T]] = WaitingItems()
        self._holds = Holds()
        self._held = 0
        self._draining = self._completed = self._stopped = False

    # Before it

    def take(self, item: T) -> None:
        if self._thread.here():
            self._take(item)
        elif not self._thread.hand_over(self._take, item):
            self.fail(self._overflow())

    def source_completed(self) -> None:
        self._thread.run(self._complete)

    def fail(self, error: Exception) -> None:
        self._thread.run_last(self._fail, error)

    def stop(self) -> None:
        """Cancel what runs, and let the sources go."""
        self._thread.run(self._stop)

    # Behind it

    def hold(self) -> None:
        """Emit no more: results keep their slots."""
        self._held += 1

    def release(self) -> None:
        """End one hold."""
        self._held -= 1
        self._drain()

    # At work

    def _take(self, item: T) -> None:
        if self._stopped:
            return
        job = _Job(item)
        if job.source is not None:
            job.source.take_in_hand()
        if len(self._running) < self._slots:
            self._start(job)
            if len(self._running) == self._slots:
                self._holds.hold(job.source)
        elif self._waiting.put(job, job.source if self._holds.hold(job.source) else None):
            return
        elif job.source is None:
            self._fail(self._overflow())
        else:
            job.source.let_go()
            job.source.report(self._overflow())

    def _overflow(self) -> OverflowError:
        return OverflowError(f"{MAX_WAITING} items wait for map_async: put buffered(n, overflow=...) before it")

    def _start(self, job: _Job[T]) -> None:
        self._running.append(job)
        job.task = self._thread.loop.create_task(self._run(job), context=job.context)

    async def _run(self, job: _Job[T]) -> None:
        try:
            job.result = await self._function(job.item)
        except BaseException as error:
            if self._stopped or cancelled(error):
                raise
            job.result = NOTHING
            notify = self._fail if self._into is None else self._into.on_next
            notify_from(job.source, notify, as_error(error, "a coroutine"))
            raise_fatal(error)
        job.done = True
        self._drain(job)

    def _drain(self, current: _Job[T] | None = None) -> None:
        """Emit what is done, and start what waits; `current` is the job in whose context this runs."""
        if self._draining:
            return
        self._draining = True
        try:
            while not self._held and (job := self._next_done()) is not None:
                self._running.remove(job)
                if job is current:
                    self._emit(job)
                else:
                    job.context.run(self._emit, job)
                while self._waiting and len(self._running) < self._slots:
                    self._start(self._waiting.pop())
                if len(self._running) < self._slots:
                    self._holds.release()
        finally:
            self._draining = False

    def _next_done(self) -> _Job[T] | None:
        among = islice(self._running, 1 if self._ordered else None)
        return next((job for job in among if job.done), None)

    def _emit(self, job: _Job[T]) -> None:
        if job.result is not NOTHING:
            notify_from(Via(self, job.source), self._observer.on_next, job.result)
        notify_from(job.source, self._complete_if_done)
        if job.source is not None:
            job.source.let_go()

    def _complete(self) -> None:
        self._completed = True
        self._complete_if_done()

    def _complete_if_done(self) -> None:
        if self._completed and not (self._running or self._waiting or self._stopped):
            self._completed = False
            self._observer.on_completed()

    def _fail(self, error: Exception) -> None:
        self._stop()
        self._observer.on_error(error)

    def _stop(self) -> None:
        self._stopped = True
        self.upstream.dispose()
        running, self._running = self._running, deque()
        for job in running:
            if job.task is not None and not job.done:
                job.task.cancel()
        self._holds.release()
        for job in (*running, *self._waiting.clear()):
            if job.source is not None:
                job.source.let_go()
