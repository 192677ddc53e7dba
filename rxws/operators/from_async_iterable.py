"""An asynchronous iterable as an Observable."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Final, Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxws.checks import is_async, named
from rxws.errors import raise_fatal
from rxws.rx.foreign import as_error, is_own_cancellation, loop_ends
from rxws.rx.holds import Downstream, Held, Holds, current_source, live_source, notify_from, present_owner
from rxws.rx.loop_thread import LoopThread, tell_loop

T = TypeVar("T")

ITEMS_A_TURN: Final = 64
"""Items after which the event loop's other business gets its turn."""


def from_async_iterable(iterable: AsyncIterable[T]) -> Observable[T]:
    """Make an Observable of an asynchronous iterable: a generator, a queue's reader, a response's body.

    ::

        iterable   a, b, c
                     from_async_iterable
        result     --a--b--c--|

    Each subscription iterates in a task of its own. Disposing cancels the task and closes a generator. The next item is
    requested when nothing behind it is busy. Operators such as `map_async` hold it, and so does a socket whose peer
    reads slowly, if its handler has subscribed to it. The hold extends to the socket whose message it was subscribed
    for, within `ops.flat_map` for example. There each iterable emits an item before a full socket holds it. So where
    many messages may come at once, limit how many run: `ops.map(...), ops.merge(max_concurrent=4)` in place of
    `ops.flat_map(...)`. If it is shared, with `ops.share()`, it goes on for the others; see `when_full`. Completes with
    the iterable, or fails with what it raises. Any thread may dispose. Needs a running event loop when it is
    subscribed. Raises `TypeError` for anything else.

    Memory: one item.

    Args:
        iterable: What `async for` takes.

    >>> from reactivex import operators as ops
    >>> async def count():
    ...     for number in range(3):
    ...         yield number
    >>> async def main():
    ...     return await from_async_iterable(count()).pipe(ops.to_list())
    >>> asyncio.run(main())
    [0, 1, 2]
    """
    if isinstance(iterable, Observable):
        raise TypeError("from_async_iterable takes an asynchronous iterable, not an Observable: use that as it is")
    if not hasattr(iterable, "__aiter__"):
        if is_async(iterable):
            raise TypeError(f"from_async_iterable takes what {named(iterable)} returns: call it")
        coroutine = inspect.iscoroutine(iterable)
        instead = "reactivex.from_future(asyncio.ensure_future(...))" if coroutine else "reactivex.from_iterable"
        raise TypeError(
            f"from_async_iterable takes an asynchronous iterable, not {type(iterable).__name__}: use {instead} for that"
        )

    def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        iteration = _Iteration(observer, LoopThread(asyncio.get_running_loop()))
        iteration.begin(aiter(iterable))
        return Disposable(iteration.stop)

    return Observable(subscribe)


class _Iteration(Held, Downstream, Generic[T]):
    """One subscription: the source of what it emits, so that those behind it can hold it."""

    gone = False
    patient = True

    def __init__(self, observer: abc.ObserverBase[T], thread: LoopThread) -> None:
        self._task: asyncio.Task[None] | None = None
        self.stopped = False
        self.source = current_source.get()
        self.owner = present_owner()
        self._thread = thread
        self._holds = Holds()
        self._observer = observer
        self._free = asyncio.Event()
        self._free.set()
        self._held = 0

    def begin(self, iterator: AsyncIterator[T]) -> None:
        """Iterate, in a task."""
        task = self._thread.loop.create_task(self._run(iterator))
        if not self.stopped:  # an eager task may be over
            self._task = task

    async def _run(self, iterator: AsyncIterator[T]) -> None:
        turn = 0
        try:
            async for item in iterator:
                notify_from(self, self._observer.on_next, item)
                del item  # or it would stay until the next one comes
                if self.stopped:
                    return
                await self._free.wait()
                turn = (turn + 1) % ITEMS_A_TURN
                if not turn:
                    await asyncio.sleep(0)
        except BaseException as error:
            if self.stopped or loop_ends() or is_own_cancellation(error):
                raise
            notify_from(self.source, self._observer.on_error, as_error(error, "an iterable"))
            raise_fatal(error)
        else:
            notify_from(self.source, self._observer.on_completed)
        finally:
            self.stopped, self.source = True, live_source(self.source)
            self._task = None  # whose context has the source before this one
            close: Any = getattr(iterator, "aclose", None)
            if close is not None:
                await close()

    def stop(self) -> None:
        """Cancel it; from any thread."""
        self.stopped = True
        self._thread.run(self._cancel)

    def _cancel(self) -> None:
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    def _follow_holds(self) -> None:
        """Ask for no more items while it is held, and hold the source meanwhile."""
        self._thread.run(self._wait_or_go_on)

    def _wait_or_go_on(self) -> None:
        if self._held:
            self._free.clear()
            self._holds.hold(self.source)
        else:
            self._free.set()
            self._holds.release()

    def report(self, error: Exception) -> None:
        """Let the source have it, or asyncio's exception handler, as what a task raises that nobody awaits."""
        if self.source is not None:
            self.source.report(error)
        else:
            self._thread.run(tell_loop, self._thread.loop, "an asynchronous iterable", error)
