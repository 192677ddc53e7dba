"""An Observable as an asynchronous iterable."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final, TypeVar

from reactivex import Observable

from rxws.origin import Holds, origin

T = TypeVar("T")

MAX_WAITING: Final = 1024
"""Items that wait although nobody could hold their source."""


async def to_async_iterable(source: Observable[T]) -> AsyncGenerator[T, None]:
    """Iterate over an Observable, with `async for`.

    ::

        source     --a--b--c--|
                     to_async_iterable
        result     a, b, c

    Subscribes when the iteration begins; ends when the source completes, raises what it fails with. Leaving the loop,
    or `aclose()`, disposes. While an item waits, the socket that it came from is held, so a slow loop slows the peer.
    Memory: one item of each socket, and what sources emit that cannot be held, 1,024 items at most; beyond, it raises
    `OverflowError`.

    >>> import reactivex
    >>> async def main():
    ...     return [item async for item in to_async_iterable(reactivex.of(1, 2, 3))]
    >>> asyncio.run(main())
    [1, 2, 3]
    """
    items: deque[T] = deque()
    holds = Holds()
    news = asyncio.Event()
    ended = False
    failure: Exception | None = None

    def take(item: T) -> None:
        if len(items) >= MAX_WAITING:
            fail(OverflowError(f"{MAX_WAITING} items wait for the loop: put buffered(n, overflow=...) before it"))
            return
        items.append(item)
        holds.hold(origin.get())
        news.set()

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
                item = items.popleft()
                yield item
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
