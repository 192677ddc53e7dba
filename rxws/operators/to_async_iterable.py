"""An Observable as an asynchronous iterable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

from reactivex import Observable

from rxws.rx.holds import MAX_WAITING, Holds, WaitingItems, current_source

T = TypeVar("T")


async def to_async_iterable(source: Observable[T]) -> AsyncGenerator[T, None]:
    """Iterate over an Observable, with `async for`.

    ::

        source     --a--b--c--|
                     to_async_iterable
        result     a, b, c

    Subscribes when the iteration begins; ends when the source completes, raises what it fails with. Leaving the loop,
    or `aclose()`, disposes. While an item waits, the socket that it came from is held, so a slow loop slows the peer.
    Memory: one item that waits of each socket that is held, and 1,024 of sources that cannot be held and of sockets
    that have left. Beyond, it raises `OverflowError`; if it was a socket's item that went over, that is told, on its
    `errors`.

    >>> import reactivex
    >>> async def main():
    ...     return [item async for item in to_async_iterable(reactivex.of(1, 2, 3))]
    >>> asyncio.run(main())
    [1, 2, 3]
    """
    items: WaitingItems[T] = WaitingItems()
    holds = Holds()
    news = asyncio.Event()
    ended = False
    failure: Exception | None = None

    def take(item: T) -> None:
        source = current_source.get()
        if items.put(item, source if holds.hold(source) else None):
            news.set()
            return
        overflow = OverflowError(f"{MAX_WAITING} items wait for the loop: put buffered(n, overflow=...) before it")
        if source is None:
            fail(overflow)
        else:
            source.report(overflow)

    def end() -> None:
        nonlocal ended
        ended = True
        news.set()

    def fail(error: Exception) -> None:
        nonlocal failure
        failure = failure or error
        end()

    subscription = source.subscribe(take, fail, end)
    try:
        while True:
            while items:
                yield items.pop()
            if failure is not None:
                raise failure
            if ended:
                return
            news.clear()
            holds.release()
            await news.wait()
    finally:
        subscription.dispose()
        holds.release()
