"""Codecs: what the messages of a socket are.

A codec turns what came off the wire (`str` from a text frame, `bytes` from a binary one) into a message, and
a message into what goes on the wire. Whatever either of its methods raises becomes a `DecodeError` or an
`EncodeError` on the socket's `errors`; a `Close` closes the socket.

What `decode` returns, `encode` takes. A message that could not be sent on is refused when it comes, so its sender is
to blame and not the members of the room that it is for. Keep that promise in a codec of your own.

A codec that remembers anything, half a packet or a packet's number, is made anew for each connection: give the class,
or another function without arguments, as `codec=`. Where frames and messages are not one to one, it is a `StreamCodec`.
"""

from __future__ import annotations

import json as _json
import re
from collections.abc import Callable, Iterable
from itertools import accumulate
from math import isinf
from typing import Any, Final, Generic, NoReturn, Protocol, TypeVar, cast, overload

__all__ = [
    "MAX_DEPTH",
    "AnyCodec",
    "Codec",
    "JsonCodec",
    "MsgspecCodec",
    "StreamCodec",
    "TextCodec",
    "json",
    "msgspec",
    "text",
    "uncompressed",
]

MAX_DEPTH: Final = 500
"""Levels of arrays and objects that `json` and `msgspec` decode; RFC 8259, section 9, allows a limit.

Python's own limit counts the calls below it, too: what one place decodes a deeper one could not encode.
"""

In_co = TypeVar("In_co", covariant=True)
Out_contra = TypeVar("Out_contra", contravariant=True)
In = TypeVar("In")
Out = TypeVar("Out")
T = TypeVar("T")
S = TypeVar("S")


class Codec(Protocol[In_co, Out_contra]):
    """What a socket needs of a codec; any object with these two methods is one.

    It may say `pure = True`: the same message makes the same frame, however often it is asked, and in whichever thread,
    in several at once too. Then a message that goes to many sockets is encoded once, one of another thread is encoded
    there, and recordings and blame may ask for frames that nobody sends. Without that attribute `encode` is called in
    the event loop, once for each socket that a message goes to, and for nothing else: a codec that counts, stamps or
    encrypts is not pure. Those of this module are.
    """

    def decode(self, data: str | bytes, /) -> In_co:
        """Make a message of a text frame (`str`) or a binary frame (`bytes`).

        Args:
            data: What came.
        """
        ...

    def encode(self, message: Out_contra, /) -> str | bytes:
        """Make a text frame (`str`) or a binary frame (`bytes`) of a message.

        Args:
            message: The message.
        """
        ...


class StreamCodec(Protocol[In_co, Out_contra]):
    r"""A codec whose frames and messages are not one to one; any object with these two methods is one.

    MQTT's packets may begin in one frame and end in another, NATS puts many lines into one, a socket.io packet with
    attachments is several. `pure` is as of `Codec`. A codec that keeps what is not whole yet belongs to one connection:
    give its class as `codec=`, and each connection makes its own.

    >>> class Lines:
    ...     def __init__(self):
    ...         self.begun = ""
    ...     def messages(self, data):
    ...         *lines, self.begun = (self.begun + data).split("\n")
    ...         if len(self.begun) > 1000:
    ...             raise ValueError("the line is too long")
    ...         return lines
    ...     def frames(self, message):
    ...         yield message + "\n"
    >>> codec = Lines()
    >>> codec.messages("a\nb\nc"), codec.messages("d\n")
    (['a', 'b'], ['cd'])
    """

    def messages(self, data: str | bytes, /) -> Iterable[In_co]:
        """Give the messages that are whole with this frame: none, one or several, in a list or made one by one.

        They must come to an end. A generator waits while reading is held, and is closed when the connection ends. What
        it raises is a `DecodeError` with the frame; the messages before it are delivered, the rest of the frame is
        skipped. What is kept of a message that is not whole must have a limit here: `max_msg_size` is for one frame.

        Args:
            data: A frame: text is `str`, binary `bytes`.
        """
        ...

    def frames(self, message: Out_contra, /) -> Iterable[str | bytes]:
        """Give the frames of a message, one at least. They leave in order, with nothing between them, as one.

        Args:
            message: The message.
        """
        ...


# pyright takes a class for a codec that does not fit, and remembers it, unless what makes one comes first
AnyCodec = Callable[[], Codec[In, Out] | StreamCodec[In, Out]] | Codec[In, Out] | StreamCodec[In, Out]
"""What `codec=` takes: a codec, which the sockets share, or what makes one for each connection."""


class UncompressedStr(str):
    """Text that goes uncompressed."""

    __slots__ = ()


class UncompressedBytes(bytes):
    """Bytes that go uncompressed."""

    __slots__ = ()


@overload
def uncompressed(data: str) -> str: ...
@overload
def uncompressed(data: bytes) -> bytes: ...
def uncompressed(data: str | bytes) -> str | bytes:
    """Mark what is not to be compressed, where messages are: pictures, or a secret beside what a stranger has chosen.

    For messages of `rxws.codecs.text`, and for what `encode` of a codec of yours returns. The mark is a class of its
    own, of which operators that make other strings, and topics, know nothing. Raises `TypeError` for anything else.

    Args:
        data: The text or the bytes.

    >>> uncompressed("token=123") == "token=123"
    True
    >>> class Careful(JsonCodec):
    ...     def encode(self, message):
    ...         text = super().encode(message)
    ...         return uncompressed(text) if "token" in message else text
    """
    if isinstance(data, str):
        return UncompressedStr(data)
    if isinstance(data, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
        return UncompressedBytes(data)
    raise TypeError(
        f"uncompressed takes str or bytes, not {type(data).__name__}: for other messages, mark what encode() returns"
    )


Sendable = str | bytes | bytearray | memoryview
"""What `text` sends."""


class TextCodec:
    """The default: `str` is a text frame and `bytes` a binary one, both ways."""

    pure = True

    def decode(self, data: str | bytes, /) -> str | bytes:
        """Return `data` as it came.

        Args:
            data: What came.
        """
        return data

    def encode(self, message: Sendable, /) -> str | bytes:
        """Return `message`; buffers are copied, since they may change before they are sent.

        Args:
            message: The text or the bytes.

        Raises `TypeError` for anything but `str`, `bytes`, `bytearray` and `memoryview`.
        """
        if isinstance(message, (str, bytes)):
            return message
        if isinstance(message, (bytearray, memoryview)):  # pyright: ignore[reportUnnecessaryIsInstance]
            return bytes(message)
        raise TypeError(f"expected str or bytes, got {type(message).__name__}; codec=rxws.json sends other values")

    def __repr__(self) -> str:
        return "rxws.codecs.text"


class JsonCodec:
    r"""JSON in text frames; binary frames of UTF-8 are read too.

    Strict (RFC 8259): `NaN` and `Infinity` are refused both ways. So is what could not be sent on: a number that is
    too large for a float (`1e999`), half a surrogate pair (`"\ud83d"`), more than `MAX_DEPTH` levels.

    With the extra `msgspec` its parser reads first, three times as fast, and gives the same values. What it refuses,
    Python's own parser reads again, so that what is taken and what an error says stay the same, too.

    >>> json.encode({"a": [1, None]})
    '{"a":[1,null]}'
    >>> json.decode('{"a": 1}')
    {'a': 1}
    """

    pure = True

    def __init__(self) -> None:
        self._encode = _json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
        decoder: Any = _json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
        self._decode, self._scan = decoder.decode, decoder.scan_once
        try:
            from msgspec.json import Decoder
        except ImportError:
            self._read_fast = None
        else:
            self._read_fast = Decoder().decode

    def decode(self, data: str | bytes, /) -> Any:
        """Parse one JSON value; raises `ValueError` (of which `json.JSONDecodeError` is one) if it is none.

        Args:
            data: What came.
        """
        if len(data) > 2 * MAX_DEPTH:
            _check_depth(data if isinstance(data, str) else data.decode())
        if self._read_fast is not None:
            try:
                return self._read_fast(data)
            except Exception:
                pass  # Python's parser decides, and says what is wrong
        return self._read(data if isinstance(data, str) else data.decode())

    def _read(self, text: str) -> Any:
        try:
            value, end = self._scan(text, 0)  # `JSONDecoder.decode` looks for spaces first, which takes 0.5 µs
        except StopIteration:
            value = self._decode(text)
        else:
            if end != len(text) and text[end:].strip(" \t\n\r"):
                return self._decode(text)  # which says what is wrong
        if "\\" in text and ("\\ud" in text or "\\uD" in text):
            self._encode(value).encode()
        return value

    def encode(self, message: Any, /) -> str:
        """Write one JSON value; raises `TypeError` or `ValueError` for what JSON cannot say.

        Args:
            message: Anything that JSON can say.
        """
        return self._encode(message)

    def __repr__(self) -> str:
        return "rxws.json"


class MsgspecCodec(Generic[T]):
    """JSON text frames decoded into, and validated as, one type; made by `msgspec`."""

    pure = True

    def __init__(self, type: Any) -> None:
        try:
            import msgspec as library
            from msgspec import inspect
        except ImportError as error:
            raise ImportError('rxws.codecs.msgspec needs msgspec: pip install "rxws[msgspec]"') from error
        self._nests = _nests(inspect.type_info(type), {})
        self._decode: Any = library.json.Decoder(type).decode
        self._encode: Any = library.json.Encoder().encode

    def decode(self, data: str | bytes, /) -> T:
        """Parse and validate; raises `msgspec.DecodeError` or `msgspec.ValidationError`.

        More than `MAX_DEPTH` levels, of a type that allows as many, are a `ValueError`.

        Args:
            data: What came.
        """
        if self._nests and len(data) > 2 * MAX_DEPTH:
            _check_depth(data if isinstance(data, str) else data.decode("latin-1"))
        return self._decode(data)

    def encode(self, message: T, /) -> str:
        """Write one JSON value, of any type that msgspec knows; raises `TypeError` for another one.

        Args:
            message: The message.
        """
        return self._encode(message).decode()


@overload
def msgspec(type: type[T], *, sends: type[S]) -> Codec[T, S]: ...
@overload
def msgspec(type: type[T]) -> MsgspecCodec[T]: ...
@overload
def msgspec(type: Any) -> MsgspecCodec[Any]: ...
@overload
def msgspec(type: Any, *, sends: Any) -> Codec[Any, Any]: ...
def msgspec(type: Any, *, sends: Any = None) -> Codec[Any, Any]:
    """Make a codec of typed messages: a `msgspec.Struct`, a tagged union of them, any type msgspec knows.

    Needs the extra `msgspec`. A message that does not fit the type is a `DecodeError`. What is sent may be of any type
    that msgspec knows; for type checkers it is of the same type as what comes, or of `sends` where you give that. At
    run time `sends` changes nothing. Raises `TypeError` for what is not a type that msgspec knows.

    Args:
        type: The type of the messages that come.
        sends: The type of the messages that are sent; by default the same.

    >>> import msgspec as m
    >>> class Move(m.Struct, tag=True):
    ...     x: int
    >>> codec = msgspec(Move)
    >>> codec.decode('{"type":"Move","x":3}')
    Move(x=3)
    >>> codec.encode(Move(4))
    '{"type":"Move","x":4}'
    """
    codec = MsgspecCodec[Any](type)
    if sends is not None:
        MsgspecCodec[Any](sends)  # which raises if it is not a type
    return codec


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError(f"{text[:20]} is too large for a float")
    return number


_ESCAPE: Final = re.compile(rb"\\.", re.DOTALL)
_STRING: Final = re.compile(rb'"[^"]*"?')
_NEITHER_BRACKET_NOR_QUOTE: Final = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS: Final = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def _nests(node: Any, seen: dict[int, bool]) -> bool:
    """Return whether what `msgspec.inspect` says of a type sets no limit to the depth: it contains `Any` or itself."""
    if id(node) in seen:
        return seen[id(node)]
    seen[id(node)] = True  # until all its parts are known
    names: tuple[str, ...] = getattr(node, "__struct_fields__", ())
    parts: list[Any] = [*node] if node.__class__ is tuple else [getattr(node, name) for name in names]
    if type(node).__name__ not in ("AnyType", "CustomType") and not any(_nests(part, seen) for part in parts):
        seen[id(node)] = False
    return seen[id(node)]


def _check_depth(text: str) -> None:
    """Raise `ValueError` for more than `MAX_DEPTH` levels; looks closely only if there are as many brackets.

    Where there are more, it takes half as long as `json` takes to parse the text.
    """
    if _count(text, "[") + _count(text, "{") <= MAX_DEPTH:
        return
    data = text.encode(errors="replace")
    if b"\\" in data:
        data = _ESCAPE.sub(b"", data)
    brackets = data.translate(None, _NEITHER_BRACKET_NOR_QUOTE).replace(b'""', b"")
    if b'"' in brackets:
        brackets = _STRING.sub(b"", brackets)
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_DEPTH:
        raise ValueError(f"it has more than {MAX_DEPTH} levels")


def _count(text: str, bracket: str) -> int:
    """Count a bracket; where it is rare, to find it takes less time than to count it."""
    at = -1
    for found in range(16):
        at = text.find(bracket, at + 1)
        if at < 0:
            return found
    return 16 + text.count(bracket, at + 1)


text = TextCodec()
json = JsonCodec()


class Parts(tuple[str | bytes, ...]):
    """The frames of a message, of a `StreamCodec`."""

    __slots__ = ()


class Streamed:
    """A `StreamCodec`, for those who ask a codec to `encode`."""

    def __init__(self, codec: StreamCodec[Any, Any]) -> None:
        self.pure = getattr(codec, "pure", False) is True
        self._codec = codec

    def encode(self, message: Any, /) -> Parts:
        """Make the frames of a message."""
        return Parts(self._parts("frames", self._codec.frames(message)))

    def messages(self, data: str | bytes, /) -> Iterable[Any]:
        """Make the messages of a frame."""
        return self._parts("messages", self._codec.messages(data))

    def _parts(self, method: str, parts: Any) -> Iterable[Any]:
        if isinstance(parts, (str, bytes)) or not isinstance(parts, Iterable):
            name = f"{type(self._codec).__name__}.{method}"
            raise TypeError(f"{name} must return a list or another iterable of {method}, not {type(parts).__name__}")
        return cast("Iterable[Any]", parts)
