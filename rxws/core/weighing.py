"""What a message weighs, before there is a frame of it."""

from __future__ import annotations

from collections.abc import Iterable
from sys import getsizeof
from typing import Any, Final, cast

from rxws.core.wire import MESSAGE_WEIGHT

MAX_WEIGHED: Final = 64 * 2**20
"""Bytes of a message after which its weighing ends."""


def weigh(message: Any) -> int:
    """Return about the bytes that a message takes, with all that is in its lists and dictionaries.

    What objects of other classes refer to is not weighed.

    >>> weigh("a" * 1000) // 100, weigh({"a": ["b" * 1000]}) // 1000
    (11, 1)
    """
    weight, inside, seen = MESSAGE_WEIGHT, [message], set[int]()
    while inside and weight < MAX_WEIGHED:
        item = inside.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        weight += getsizeof(item, MESSAGE_WEIGHT)
        if isinstance(item, dict):
            inside += cast("dict[Any, Any]", item)
            inside += cast("dict[Any, Any]", item).values()
        elif isinstance(item, (list, tuple, set, frozenset)):
            inside += cast("Iterable[Any]", item)
    return weight
