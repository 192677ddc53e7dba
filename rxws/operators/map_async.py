"""`map` with a coroutine function."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from inspect import isawaitable
from itertools import islice
from typing import Any, Final, Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxws.checks import awaited, flag, named, not_awaitable, positive_int
from rxws.errors import raise_fatal
from rxws.rx.broadcast import Unlocked
from rxws.rx.endings import how_it_ended, tell_ending
from rxws.rx.foreign import as_error, is_own_cancellation, loop_ends
from rxws.rx.holds import (
    MAX_UNHELD,
    Held,
    Holds,
    Source,
    Via,
    WaitingItems,
    check_shared,
    notify_from,
    present_owner,
    source_before,
)
from rxws.rx.loop_thread import LoopThread, tell_loop

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
    completed and all results were emitted. Fails with the first error of the source or the function, which cancels the
    others; directly followed by `skip_errors`, it goes on after errors of the function. Disposing cancels the tasks
    that run.

    Each item is processed, and its result emitted, in the context (`ContextVar`) in which it came.

    While all slots are in use, the sockets that the items came from are held: nothing more is read from them. While an
    operator behind it is busy, results keep their slots.

    Results may be fed back into the source, such as links to follow: that holds no result, but the socket that the
    first item came from.

    Memory: `max_concurrent` items and results, one waiting item of each held socket, and 1,024 items of sources that
    cannot be held and of sockets that have left. Beyond that, an item of a socket is dropped, and the socket's `errors`
    emits an `OverflowError`. For an item of no socket, the result fails with it.

    Needs a running event loop when it is subscribed, and works and emits there. Items may come from other threads and
    loops, whose sockets are held likewise. What a subscriber raises is an error of the socket that the item came from,
    or goes to asyncio's exception handler. When the event loop ends, the operator ends without a notification. Raises
    `TypeError` or `ValueError` if `max_concurrent` is not a positive `int`, and `TypeError` for what cannot be a
    coroutine function, or an `ordered` that is not a `bool`. Of a function that returns what cannot be awaited, that is
    the error of its first item.

    Args:
        function: A coroutine function of an item.
        max_concurrent: Items that are worked on at a time.
        ordered: Whether results come in the order of the items.

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
    awaited("map_async", function, "ops.map")
    positive_int("max_concurrent", max_concurrent, "items")
    flag("ordered", ordered)
    return lambda source: MapAsync(source, function, max_concurrent, ordered)


class MapAsync(Unlocked[R]):
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
        """Make the same Observable, but errors of the function go to `into`, and it goes on."""
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

    def __init__(self, item: T, source: Source | None) -> None:
        self.item = item
        self.source = source
        self.context = copy_context()
        self.task: asyncio.Task[None] | None = None
        self.done = False
        self.result: Any = None


class _Work(Held, Generic[T, R]):
    """One subscription: the slots, and who waits for one.

    What another thread brings waits, in bounds, and holds its source, until the event loop comes to it.
    """

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
        self._thread = LoopThread(asyncio.get_running_loop())
        self._running: deque[_Job[T]] = deque()
        self._waiting: WaitingItems[_Job[T]] = WaitingItems()
        self._holds = Holds()
        self._held = 0
        self._draining = self._completed = self.stopped = False
        self._how: Any = None  # how the source has completed
        self._looked = False  # whether it has been checked that no others share the source
        self.owner = present_owner()

    # Before it

    def take(self, item: T) -> None:
        if self.stopped:
            return
        source = source_before(self)
        if not self._looked:
            self._looked = True
            check_shared(source)
        job = _Job(item, source)
        if source is not None:
            source.take_in_hand()
        if not self._thread.here():
            self._bring(job)
        elif len(self._running) < self._slots and not self._waiting:
            self._start(job)
            if len(self._running) == self._slots:
                self._holds.hold(job.source)
        else:
            self._let_wait(job, hold=True)

    def source_completed(self) -> None:
        self._thread.run(self._complete, how_it_ended())

    def fail(self, error: Exception) -> None:
        self._thread.run_last(self._fail, error)

    def stop(self) -> None:
        """Cancel what runs, and let the sources go."""
        self._thread.run(self._stop)

    def _bring(self, job: _Job[T]) -> None:
        """Let an item of another thread wait; its source is held if it may have to wait for a slot."""
        if self._thread.loop.is_closed():
            self._stop()  # there is nobody to work on it any more
            _let_go(job)
            return
        self._let_wait(job, hold=len(self._running) + len(self._waiting) + 1 >= self._slots)
        self._thread.run_once(self._fill)

    def _let_wait(self, job: _Job[T], *, hold: bool) -> None:
        source = job.source
        if self._waiting.put(job, source if hold and self._holds.hold(source) else None):
            return
        overflow = OverflowError(f"{MAX_UNHELD} items wait for map_async: put buffered(n, overflow=...) before it")
        if source is None:
            self.fail(overflow)
        else:
            source.let_go()
            source.report(overflow)

    # Behind it

    def _follow_holds(self) -> None:
        """Stop emitting while it is held: results keep their slots."""
        if not self._held:
            self._thread.run(self._drain)

    # At work

    def _start(self, job: _Job[T]) -> None:
        self._running.append(job)
        job.task = self._thread.loop.create_task(self._run(job), context=job.context)

    def _fill(self) -> None:
        """Start what waits, as far as there are slots."""
        if self.stopped:
            self._let_all_go()
            return
        while self._waiting and len(self._running) < self._slots:
            self._start(self._waiting.pop())
        if len(self._running) < self._slots:
            self._holds.release()

    async def _run(self, job: _Job[T]) -> None:
        try:
            result = self._function(job.item)
            if not isinstance(result, Coroutine) and not isawaitable(result):
                raise TypeError(not_awaitable("map_async", named(self._function), result, "ops.map"))
            job.result = await result
        except BaseException as error:
            if self.stopped or loop_ends() or is_own_cancellation(error):
                self._stop()
                raise
            job.result = NOTHING
            notify = self._fail if self._into is None else self._into.on_next
            self._notify(job.source, notify, as_error(error, "a coroutine"))
            raise_fatal(error)
        if job.task is not None and job.task.cancelling() and loop_ends():
            self._stop()
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
                self._fill()
        finally:
            self._draining = False

    def _next_done(self) -> _Job[T] | None:
        among = islice(self._running, 1 if self._ordered else None)
        return next((job for job in among if job.done), None)

    def _emit(self, job: _Job[T]) -> None:
        if job.result is not NOTHING:
            self._notify(Via(self, job.source), self._observer.on_next, job.result)
        if self._completed:
            self._notify(job.source, self._complete_if_done)
        if job.source is not None:
            job.source.let_go()

    def _notify(self, source: Source | None, notify: Callable[..., object], *item: Any) -> None:
        """Notify in the name of a source; without one, asyncio's exception handler is told what is raised."""
        try:
            notify_from(source, notify, *item)
        except BaseException as error:
            raise_fatal(error)
            tell_loop(self._thread.loop, "map_async", error)

    def _complete(self, how: Any) -> None:
        self._completed, self._how = True, how
        self._complete_if_done()

    def _complete_if_done(self) -> None:
        if self._completed and not (self._running or self._waiting or self.stopped):
            self._completed = False
            tell_ending(self._how, self._observer.on_completed)

    def _fail(self, error: Exception) -> None:
        if not self.stopped:
            self._stop()
            self._observer.on_error(error)

    def _stop(self) -> None:
        self.stopped = True
        self.upstream.dispose()
        running, self._running = self._running, deque()
        for job in running:
            if job.task is not None and not job.done and not self._thread.loop.is_closed():
                job.task.cancel()
            _let_go(job)
        self._let_all_go()

    def _let_all_go(self) -> None:
        self._holds.release()
        for job in self._waiting.clear():
            _let_go(job)


def _let_go(job: _Job[Any]) -> None:
    if job.source is not None:
        job.source.let_go()
