"""`map` with a coroutine function."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxws.errors import not_cancelled
from rxws.origin import Holds, Source, hand_on, origin

T = TypeVar("T")
R = TypeVar("R")

MAX_WAITING: Final = 1024
"""Items that wait for a slot although nobody could hold their source."""


def map_async(
    function: Callable[[T], Awaitable[R]], *, max_concurrent: int = 1, ordered: bool = True
) -> Callable[[Observable[T]], Observable[R]]:
    """Map each item with a coroutine function, at most `max_concurrent` at a time.

    ::

        source     --a-----b--c------------|
                     map_async(f)
        result     -----A-----B---C--------|      one at a time: c waits for b

    Emits the results, in the order of the items if `ordered`, else as they are ready. Completes when the source has
    and all results are there; fails with the first error of the source or the function, which cancels the others.
    Disposing cancels the tasks that run.

    While all slots are in use, the sockets that the items came from are held: nothing more is read from them. Memory:
    `max_concurrent` items that run or wait for their turn to be emitted, and what a source that cannot be held emits
    meanwhile, 1,024 items at most; beyond, the result fails with `OverflowError`.

    Needs a running event loop when it is subscribed. Raises `ValueError` if `max_concurrent` is not positive.

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
    if max_concurrent < 1:
        raise ValueError(f"max_concurrent must be positive, not {max_concurrent!r}")

    def operate(source: Observable[T]) -> Observable[R]:
        def subscribe(observer: abc.ObserverBase[R], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            work = _Work(function, observer, max_concurrent, ordered=ordered)
            upstream = source.subscribe(work.take, work.fail, work.source_completed, scheduler=scheduler)
            work.upstream.add(upstream)
            return Disposable(work.stop)

        return Observable(subscribe)

    return operate


class _Job(Generic[T]):
    """An item on its way: its source, its task, its result."""

    __slots__ = ("done", "item", "result", "source", "task")

    def __init__(self, item: T) -> None:
        self.item = item
        self.source: Source | None = origin.get()
        self.task: asyncio.Task[None] | None = None
        self.done = False
        self.result: Any = None


class _Work(Generic[T, R]):
    """One subscription: the slots, and who waits for one."""

    def __init__(
        self, function: Callable[[T], Awaitable[R]], observer: abc.ObserverBase[R], slots: int, *, ordered: bool
    ) -> None:
        self.upstream = CompositeDisposable()
        self._function = function
        self._observer = observer
        self._slots = slots
        self._ordered = ordered
        self._loop = asyncio.get_running_loop()
        self._running: deque[_Job[T]] = deque()
        self._waiting: deque[_Job[T]] = deque()
        self._holds = Holds()
        self._completed = False

    def take(self, item: T) -> None:
        job = _Job(item)
        if len(self._running) < self._slots:
            self._start(job)
        elif len(self._waiting) < MAX_WAITING:
            self._waiting.append(job)
        else:
            self.fail(OverflowError(f"{MAX_WAITING} items wait for map_async: put buffered(n, overflow=...) before it"))
            return
        if len(self._running) == self._slots:
            self._holds.hold(job.source)

    def source_completed(self) -> None:
        self._completed = True
        self._complete_if_done()

    def fail(self, error: Exception) -> None:
        self.stop()
        self._observer.on_error(error)

    def stop(self) -> None:
        """Cancel what runs, and let the sources go."""
        self.upstream.dispose()
        self._waiting.clear()
        running, self._running = self._running, deque()
        for job in running:
            if job.task is not None:
                job.task.cancel()
        self._holds.release()

    def _start(self, job: _Job[T]) -> None:
        self._running.append(job)
        token = origin.set(job.source)
        job.task = self._loop.create_task(self._run(job))
        origin.reset(token)

    async def _run(self, job: _Job[T]) -> None:
        try:
            job.result = await self._function(job.item)
        except (Exception, asyncio.CancelledError) as error:
            if job not in self._running:
                raise  # it was cancelled
            job.task = None
            self.fail(not_cancelled(error, "a coroutine"))
        else:
            job.done, job.task = True, None
            self._emit(job)

    def _emit(self, job: _Job[T]) -> None:
        if not self._ordered:
            self._running.remove(job)
            hand_on(job.result, job.source, self._observer)
        while self._ordered and self._running and self._running[0].done:
            first = self._running.popleft()
            hand_on(first.result, first.source, self._observer)
        while self._waiting and len(self._running) < self._slots:
            self._start(self._waiting.popleft())
        if len(self._running) < self._slots:
            self._holds.release()
        self._complete_if_done()

    def _complete_if_done(self) -> None:
        if self._completed and not self._running and not self._waiting:
            self._completed = False
            self._observer.on_completed()
