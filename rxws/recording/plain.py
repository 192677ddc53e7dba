"""Messages of a codec as JSON values, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from rxws import codecs
from rxws.codecs import Codec
from rxws.core.encoding import is_pure
from rxws.errors import raise_fatal


def plainly(codec: Codec[Any, Any]) -> Callable[[Any], Any]:
    """Make what turns a message into a JSON value, or bytes: what a pure codec writes for it, read as JSON.

    Another codec is not asked: its peer would miss what it counts.

    >>> import msgspec
    >>> class Tick(msgspec.Struct):
    ...     price: float
    >>> plainly(codecs.msgspec(Tick))(Tick(1.5))
    {'price': 1.5}
    """

    def plain(item: Any) -> Any:
        if item is None or isinstance(item, (str, bytes, BaseException)):
            return item
        try:
            written = codec.encode(item)
            return json.loads(written) if isinstance(written, str) else written
        except BaseException as error:  # a codec may raise anything
            raise_fatal(error)
            return item

    plain_already = codec is codecs.text or codec is codecs.json or isinstance(codec, codecs.Streamed)
    return plain if is_pure(codec) and not plain_already else lambda item: item


def as_sent(codec: Codec[Any, Any], message: Any) -> tuple[str | bytes, ...]:
    """Write a recorded message as its peer did: with the codec, but bytes, and the text codec's text, as they are.

    >>> as_sent(codecs.json, {"a": 1}), as_sent(codecs.text, "a"), as_sent(codecs.text, {"a": 1})
    (('{"a":1}',), ('a',), ('{"a":1}',))
    """
    if isinstance(message, bytes) or (codec is codecs.text and isinstance(message, str)):
        return (message,)
    sent: Any = (codecs.json if codec is codecs.text else codec).encode(message)
    return sent if isinstance(sent, codecs.Parts) else (sent,)
