"""An Observable as an asynchronous iterable."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import SingleAssignmentDisposable

from rxws.rx.holds import MAX_UNHELD, Holds, Source, WaitingItems, check_shared, current_source, last_taken
from rxws.rx.loop_thread import LoopThread

T = TypeVar("T")


def to_async_iterable(source: Observable[T]) -> AsyncGenerator[T, None]:
    """Iterate over an Observable, with `async for`.

    ::

        source     --a--b--c--|
                     to_async_iterable
        result     a, b, c

    Subscribes when the iteration begins. It ends when the source completes, and raises what the source fails with. A
    cancelled wait, such as after a timeout, ends nothing and takes no item. `aclose()` disposes; so does letting go of
    the iterator, soon. While an item waits, the socket that it came from is held, so a slow loop slows the peer, and
    other subscribers of that socket wait too. The same holds while the loop sends to a peer that reads slowly. Items
    may come from any thread. One task may wait at a time; a second one gets a `RuntimeError`.

    Args:
        source: The Observable to iterate over.

    Memory: one waiting item of each held socket, and 1,024 items of sources that cannot be held and of sockets that
    have left. Beyond that, an item of a socket is dropped, and the socket's `errors` emits an `OverflowError`. For an
    item of no socket, the iteration raises it, after the items that wait. Raises `TypeError` for what is not an
    Observable.

    >>> import reactivex
    >>> async def main():
    ...     return [item async for item in to_async_iterable(reactivex.of(1, 2, 3))]
    >>> asyncio.run(main())
    [1, 2, 3]
    """
    if not isinstance(source, Observable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"to_async_iterable takes an Observable, such as socket.incoming, not {source!r}")
    return _Iterator(source)


class _Iterator(AsyncGenerator[T, None]):
    """What `to_async_iterable` returns. The source does not refer to it, so that letting go of it disposes."""

    def __init__(self, source: Observable[T]) -> None:
        self._source: Observable[T] | None = source
        self._items = _Items[T]()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waits = False

    async def __anext__(self) -> T:
        if self._waits:
            raise RuntimeError("another task waits for the next item: give each its own to_async_iterable(...)")
        self._waits = True
        try:
            if self._source is not None:
                source, self._source = self._source, None
                self._loop = asyncio.get_running_loop()
                self._items.subscribe(source)
            return await self._items.next()
        except Exception:  # the end, too; not a cancellation
            self._items.stop()
            raise
        finally:
            self._waits = False

    async def asend(self, value: None) -> T:
        return await self.__anext__()

    async def athrow(self, typ: Any, val: Any = None, tb: Any = None) -> T:
        self._source = None
        self._items.stop()
        raise typ if val is None else val

    def __del__(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._items.stop)


class _Items(abc.ObserverBase[T]):
    """The items that wait, and the sources that are held because of them. They may come from any thread."""

    def __init__(self) -> None:
        self._waiting: WaitingItems[tuple[T, Source | None]] = WaitingItems()
        self._holds = Holds()
        self._subscription = SingleAssignmentDisposable()
        self._news = asyncio.Event()
        self._ended = self._stopped = self._looked = False
        self.source: Source | None = None
        """That of the item that was taken last, until the next one is waited for."""
        self._failure: Exception | None = None

    def subscribe(self, source: Observable[T]) -> None:
        """Begin, in the event loop that runs."""
        self._thread = LoopThread(asyncio.get_running_loop())
        self._subscription.disposable = source.subscribe(self)

    def stop(self) -> None:
        """Take nothing more, and forget what waits."""
        self._forget()
        self._news.set()

    async def next(self) -> T:
        """Wait for the oldest item; raises what the source failed with, or `StopAsyncIteration`, after the last one."""
        while not self._waiting:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            self.source = None
            self._holds.release()
            await self._news.wait()
        item, self.source = self._waiting.pop()
        last_taken.set(self)
        return item

    def on_next(self, value: T) -> None:
        """Keep an item, and hold the one that it came from."""
        if self._ended:
            return
        source = current_source.get()
        if not self._looked:
            self._looked = True
            check_shared(source)
        if self._waiting.put((value, source), source if self._holds.hold(source) else None):
            self._tell()
            return
        overflow = OverflowError(f"{MAX_UNHELD} items wait for the loop: put buffered(n, overflow=...) before it")
        if source is None:
            self.on_error(overflow)
        else:
            source.report(overflow)

    def on_error(self, error: Exception) -> None:
        """Fail, after the items that wait."""
        self._failure = self._failure or error
        self.on_completed()

    def on_completed(self) -> None:
        """End, after the items that wait."""
        self._ended = True
        self._tell()

    def _tell(self) -> None:
        """Wake the task that waits for an item."""
        if self._thread.loop.is_closed():
            self._forget()
        else:
            self._thread.run_once(self._look)

    def _look(self) -> None:
        """Look what another thread has brought."""
        if self._stopped:
            self._forget()
        self._news.set()

    def _forget(self) -> None:
        self._stopped = self._ended = True
        self.source = None
        self._subscription.dispose()
        self._waiting.clear()
        self._holds.release()
