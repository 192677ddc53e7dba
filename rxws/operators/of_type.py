"""Items of one type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from reactivex import Observable
from reactivex import operators as ops

T = TypeVar("T")


def of_type(kind: type[T]) -> Callable[[Observable[Any]], Observable[T]]:
    """Keep the items of a type, for the type checker too.

    ::

        source     --1--"a"--2--|
                     of_type(int)
        result     --1-------2--|

    Args:
        kind: The class of the items to keep.

    Memory: none. Raises `TypeError` for what is not a class.

    >>> import reactivex
    >>> reactivex.of(1, "a", 2).pipe(of_type(int), ops.to_list()).run()
    [1, 2]
    """
    try:
        issubclass(object, kind)
    except TypeError:
        raise TypeError(f"of_type takes a class, or several, not {kind!r}") from None

    def operate(source: Observable[Any]) -> Observable[T]:
        return cast("Observable[T]", source.pipe(ops.filter(lambda item: isinstance(item, kind))))

    return operate
