"""`filter` with a coroutine function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from inspect import isawaitable
from typing import Any, TypeVar

from reactivex import Observable

from rxws.checks import awaited, named, not_awaitable
from rxws.operators.map_async import NOTHING, map_async

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

    Args:
        predicate: A coroutine function that returns whether to keep an item.
        max_concurrent: Items that are worked on at a time.
        ordered: Whether items stay in order.

    >>> import asyncio, reactivex
    >>> from reactivex import operators as ops
    >>> async def is_odd(number):
    ...     return number % 2 == 1
    >>> async def main():
    ...     return await reactivex.of(1, 2, 3).pipe(filter_async(is_odd), ops.to_list())
    >>> asyncio.run(main())
    [1, 3]
    """
    awaited("filter_async", predicate, "ops.filter")

    async def judge(item: T) -> T:
        result: Any = predicate(item)
        if not isinstance(result, Coroutine) and not isawaitable(result):
            raise TypeError(not_awaitable("filter_async", named(predicate), result, "ops.filter"))
        return item if await result else NOTHING

    return map_async(judge, max_concurrent=max_concurrent, ordered=ordered)
