"""`filter` with a coroutine function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from reactivex import Observable
from reactivex import operators as ops

from rxws.operators.map_async import map_async

T = TypeVar("T")


def filter_async(
    predicate: Callable[[T], Awaitable[bool]], *, max_concurrent: int = 1, ordered: bool = True
) -> Callable[[Observable[T]], Observable[T]]:
    """Keep the items for which a coroutine function returns something true.

    ::

        source     --1-----2--3------------|
                     filter_async(is_odd)
        result     -----1---------3--------|

    Order, errors, holds, memory and disposal are those of `map_async`.

    >>> import asyncio, reactivex
    >>> async def is_odd(number):
    ...     return number % 2 == 1
    >>> async def main():
    ...     return await reactivex.of(1, 2, 3).pipe(filter_async(is_odd), ops.to_list())
    >>> asyncio.run(main())
    [1, 3]
    """

    async def judge(item: T) -> tuple[bool, T]:
        return bool(await predicate(item)), item

    def operate(source: Observable[T]) -> Observable[T]:
        return source.pipe(
            map_async(judge, max_concurrent=max_concurrent, ordered=ordered),
            ops.filter(lambda judged: judged[0]),
            ops.map(lambda judged: judged[1]),
        )

    return operate
