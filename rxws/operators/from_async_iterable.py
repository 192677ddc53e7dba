"""An asynchronous iterable as an Observable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Final, Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from rxws.errors import raise_fatal
from rxws.rx.foreign import as_error, cancelled
from rxws.rx.holds import Downstream, Holds, current_source, notify_from

T = TypeVar("T")

ITEMS_A_TURN: Final = 64
"""Items after which the event loop's other business gets its turn."""


def from_async_iterable(iterable: AsyncIterable[T]) -> Observable[T]:
    """Make an Observable of an asynchronous iterable: a generator, a queue's reader, a response's body.

    ::

        iterable   a, b, c
                     from_async_iterable
        result     --a--b--c--|

    Each subscription iterates in a task of its own; disposing cancels the task and closes a generator. The next item
    is asked for when nobody behind it is busy: operators such as `map_async` hold it, and with it the socket whose
    message it was subscribed for, within `ops.flat_map` say. Completes with the iterable, or fails with what it
    raises. Memory: one item. Needs a running event loop when it is subscribed.

    >>> from reactivex import operators as ops
    >>> async def count():
    ...     for number in range(3):
    ...         yield number
    >>> async def main():
    ...     return await from_async_iterable(count()).pipe(ops.to_list())
    >>> asyncio.run(main())
    [0, 1, 2]
    """

    def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        iteration = _Iteration(observer)
        iteration.task = asyncio.get_running_loop().create_task(iteration.run(aiter(iterable)))
        return Disposable(iteration.stop)

    return Observable(subscribe)


class _Iteration(Downstream, Generic[T]):
    """One subscription: the source of what it emits, so that those behind it can hold it."""

    gone = False

    def __init__(self, observer: abc.ObserverBase[T]) -> None:
        self.task: asyncio.Task[None] | None = None
        self._stopped = False
        self.source = current_source.get()
        self._holds = Holds()
        self._observer = observer
        self._free = asyncio.Event()
        self._free.set()
        self._held = 0

    async def run(self, iterator: AsyncIterator[T]) -> None:
        turn = 0
        try:
            async for item in iterator:
                notify_from(self, self._observer.on_next, item)
                del item  # or it would stay until the next one comes
                if self._stopped:
                    return
                await self._free.wait()
                turn = (turn + 1) % ITEMS_A_TURN
                if not turn:
                    await asyncio.sleep(0)
        except BaseException as error:
            if self._stopped or cancelled(error):
                raise
            notify_from(self.source, self._observer.on_error, as_error(error, "an iterable"))
            raise_fatal(error)
        else:
            notify_from(self.source, self._observer.on_completed)
        finally:
            close: Any = getattr(iterator, "aclose", None)
            if close is not None:
                await close()

    def stop(self) -> None:
        self._stopped = True
        if self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()

    def hold(self) -> None:
        """Ask for no more items."""
        self._held += 1
        self._free.clear()
        self._holds.hold(self.source)

    def release(self) -> None:
        """End one hold."""
        self._held -= 1
        if not self._held:
            self._free.set()
            self._holds.release()

    def report(self, error: Exception) -> None:
        """Let the source have it, or asyncio's exception handler, as what a task raises that nobody awaits."""
        if self.source is not None:
            self.source.report(error)
            return
        context = {"message": "a subscriber of an asynchronous iterable raised", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
