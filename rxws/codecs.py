"""Codecs: what the messages of a socket are.

A codec turns what came off the wire (`str` from a text frame, `bytes` from a binary one) into a message, and
a message into what goes on the wire. Whatever either of its methods raises becomes a `DecodeError` or an
`EncodeError` on the socket's `errors`; a `Close` closes the socket.
"""

from __future__ import annotations

import json as _json
from typing import Any, Generic, NoReturn, Protocol, TypeVar, overload

In_co = TypeVar("In_co", covariant=True)
Out_contra = TypeVar("Out_contra", contravariant=True)
T = TypeVar("T")


class Codec(Protocol[In_co, Out_contra]):
    """What a socket needs of a codec; any object with these two methods is one."""

    def decode(self, data: str | bytes, /) -> In_co:
        """Make a message of a text frame (`str`) or a binary frame (`bytes`)."""
        ...

    def encode(self, message: Out_contra, /) -> str | bytes:
        """Make a text frame (`str`) or a binary frame (`bytes`) of a message."""
        ...


class TextCodec:
    """The default: `str` is a text frame and `bytes` a binary one, both ways."""

    def decode(self, data: str | bytes, /) -> str | bytes:
        """Return `data` as it came."""
        return data

    def encode(self, message: str | bytes | bytearray | memoryview, /) -> str | bytes:
        """Return `message`; buffers are copied, since they may change before they are sent.

        Raises `TypeError` for anything but `str`, `bytes`, `bytearray` and `memoryview`.
        """
        if isinstance(message, (str, bytes)):
            return message
        if isinstance(message, (bytearray, memoryview)):  # pyright: ignore[reportUnnecessaryIsInstance]
            return bytes(message)
        raise TypeError(f"expected str or bytes, got {type(message).__name__}; codec=rxws.json sends other values")


class JsonCodec:
    """JSON in text frames; binary frames of UTF-8 are read too.

    Strict (RFC 8259): `NaN` and `Infinity` are refused both ways.

    >>> json.encode({"a": [1, None]})
    '{"a":[1,null]}'
    >>> json.decode('{"a": 1}')
    {'a': 1}
    """

    def __init__(self) -> None:
        self._encode = _json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
        self._decode = _json.JSONDecoder(parse_constant=_refuse_constant).decode

    def decode(self, data: str | bytes, /) -> Any:
        """Parse one JSON value; raises `ValueError` (of which `json.JSONDecodeError` is one) if it is none."""
        return self._decode(data if isinstance(data, str) else data.decode())

    def encode(self, message: Any, /) -> str:
        """Write one JSON value; raises `TypeError` or `ValueError` for what JSON cannot say."""
        return self._encode(message)


class MsgspecCodec(Generic[T]):
    """JSON text frames decoded into, and validated as, one type; made by `msgspec`."""

    def __init__(self, type: Any) -> None:
        try:
            import msgspec as library
        except ImportError as error:
            raise ImportError('rxws.codecs.msgspec needs msgspec: pip install "rxws[msgspec]"') from error
        self._decode: Any = library.json.Decoder(type).decode
        self._encode: Any = library.json.Encoder().encode

    def decode(self, data: str | bytes, /) -> T:
        """Parse and validate; raises `msgspec.DecodeError` or `msgspec.ValidationError`."""
        return self._decode(data)

    def encode(self, message: Any, /) -> str:
        """Write one JSON value; raises `TypeError` for what msgspec does not know."""
        return self._encode(message).decode()


@overload
def msgspec(type: type[T]) -> MsgspecCodec[T]: ...
@overload
def msgspec(type: Any) -> MsgspecCodec[Any]: ...
def msgspec(type: Any) -> MsgspecCodec[Any]:
    """Make a codec of typed messages: a `msgspec.Struct`, a tagged union of them, any type msgspec knows.

    Needs the extra `msgspec`. A message that does not fit the type is a `DecodeError`.

    >>> import msgspec as m
    >>> class Move(m.Struct, tag=True):
    ...     x: int
    >>> codec = msgspec(Move)
    >>> codec.decode('{"type":"Move","x":3}')
    Move(x=3)
    >>> codec.encode(Move(4))
    '{"type":"Move","x":4}'
    """
    return MsgspecCodec(type)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


text = TextCodec()
json = JsonCodec()
