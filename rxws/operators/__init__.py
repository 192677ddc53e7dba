"""Operators that RxPY lacks: asynchronous functions and iterables, with flow control that reaches the socket."""

from rxws.operators.buffered import buffered
from rxws.operators.filter_async import filter_async
from rxws.operators.from_async_iterable import from_async_iterable
from rxws.operators.map_async import map_async
from rxws.operators.of_type import of_type
from rxws.operators.skip_errors import skip_errors
from rxws.operators.to_async_iterable import to_async_iterable
from rxws.operators.when_full import when_full

__all__ = [
    "buffered",
    "filter_async",
    "from_async_iterable",
    "map_async",
    "of_type",
    "skip_errors",
    "to_async_iterable",
    "when_full",
]
