"""Messages of other threads, before the event loop comes to them: their frames, and what they weigh."""

from __future__ import annotations

from collections.abc import Iterable
from sys import getsizeof
from typing import Any, Final, cast

from rxws.codecs import Codec
from rxws.core.encoding import encode, is_pure
from rxws.core.wire import MESSAGE_WEIGHT, Binary, Text
from rxws.errors import raise_fatal

MAX_WEIGHED: Final = 64 * 2**20
"""Bytes of a message after which its weighing ends."""


def encode_ahead(codec: Codec[Any, Any], message: Any) -> tuple[Text | Binary | None, int]:
    """Encode a message in another thread, so that it goes out as it is now; return the frame, and its weight.

    There is no frame if the codec is not pure, so that only the event loop may call it, or if it refuses the message:
    the event loop will be told that in its turn. Then the message is weighed.
    """
    if is_pure(codec):
        try:
            frame = encode(codec, message, keep=False)
        except BaseException as error:
            raise_fatal(error)
        else:
            return frame, frame.weight
    return None, weigh(message)


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
