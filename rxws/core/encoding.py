"""From a message to a frame: once for a message that goes to many sockets."""

from __future__ import annotations

import inspect
from asyncio import get_running_loop
from collections.abc import Callable
from copy import deepcopy
from sys import getsizeof
from typing import Any, Final, cast

from rxws.close import Close
from rxws.codecs import Codec, Parts, UncompressedBytes, UncompressedStr, json, text
from rxws.core.weighing import weigh
from rxws.core.wire import AS_IT_CAME, NO_COPY, Binary, Frame, Limited, PlainBinary, PlainText, Several, Text, Unmade
from rxws.errors import EncodeError, parted, raise_fatal
from rxws.rx.foreign import described

IMMUTABLE: Final = (str, bytes, int, float, UncompressedStr, UncompressedBytes)

KEPT: Final = 64 * 1024
"""The largest frame, and the largest message, in bytes, that are kept when the event loop's turn is over."""

NO_FRAME: Final = Text(b"")
_NONE: Final[tuple[Any, Any, Text | Binary]] = NO_FRAME, None, NO_FRAME

last: tuple[Any, Any, Text | Binary] = _NONE
"""The last message that cannot have changed since, its codec, and its frame. One object: other threads may look."""

_UNCOMPRESSED: Final = None, b""
_came: tuple[bytes | None, bytes] = _UNCOMPRESSED
"""The message that is being handed on, if it came compressed, and what it was on the wire."""


def encode(codec: Codec[Any, Any], message: Any, *, keep: bool = True) -> Text | Binary:
    """Encode a message; raises `EncodeError`, or a `Close` of the codec's.

    A pure codec's frame of the last immutable message is used again for the very same object; so is that of a shared
    one. What is made in another thread than its socket's is not to be kept for that.
    """
    latest = last
    if message is latest[0] and codec is latest[1]:
        return latest[2]
    return encode_new(codec, message, keep=keep)


def encode_new(codec: Codec[Any, Any], message: Any, *, keep: bool = True) -> Text | Binary:
    """Encode a message that is not the last one; else as `encode`."""
    global last
    shared = _shared
    if message is shared.message and codec is (made := shared.made)[0]:
        return made[1]
    try:
        if codec is text and type(message) is str:
            frame = Text(message.encode(), message)
            if keep and _came is _UNCOMPRESSED:  # as is usual: there is nothing else to look at
                last = message, codec, frame
                if frame.weight > KEPT:
                    _forget_soon()
                return frame
        elif isinstance(data := codec.encode(message), str):
            frame = (Text if type(data) is not UncompressedStr else PlainText)(data.encode(), message)
        elif isinstance(data, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            frame = (Binary if type(data) is not UncompressedBytes else PlainBinary)(bytes(data), message)
        else:
            frame = _other(codec, data, message)
    except BaseException as cause:
        raise_fatal(cause)
        if parted(cause, Close)[0] is not None:
            raise
        raise EncodeError(message, _why_not(message, cause)) from cause
    if (came := _came) is not _UNCOMPRESSED and came[0] == frame.data:
        frame.deflated = {AS_IT_CAME: came[1]}
    if not keep:
        return frame
    if type(message) in IMMUTABLE:
        if codec is text or codec is json:  # whose frames are not smaller than their messages
            is_large = frame.weight > KEPT
        elif is_pure(codec):
            is_large = frame.weight > KEPT or getsizeof(message) > KEPT
        else:
            return frame
        last = message, codec, frame
        if is_large:
            _forget_soon()
    elif message is shared.message and is_pure(codec):
        shared.made = codec, frame
    return frame


def _why_not(message: Any, cause: BaseException) -> str:
    """Say why a message cannot be sent; a coroutine is closed, so that Python does not warn of it again."""
    if not inspect.iscoroutine(message):
        return described(cause, str)
    message.close()
    return "it is a coroutine that nobody awaited: rxws.operators.map_async(f) in place of ops.map(f)"


def _other(codec: Codec[Any, Any], data: Any, message: Any) -> Binary | Text:
    """Make a message's frames one, to be sent as such."""
    if isinstance(data, Unmade):
        return data
    if type(data) is not Parts:
        raise TypeError(f"{type(codec).__name__}.encode must return str or bytes, not {type(data).__name__}")
    frames = [_part(part, message) for part in data]
    if not frames:
        raise TypeError("the codec's frames() must give at least one frame for a message")
    return frames[0] if len(frames) == 1 else Several(frames, message)


def _part(part: Any, message: Any) -> Binary | Text:
    if isinstance(part, str):
        return (Text if type(part) is not UncompressedStr else PlainText)(part.encode(), message)
    if isinstance(part, bytes):
        return (Binary if type(part) is not UncompressedBytes else PlainBinary)(bytes(part), message)
    raise TypeError(f"the codec's frames() must give str or bytes, not {type(part).__name__}")


def split(frame: Frame) -> list[Frame]:
    """Give the frames of a message, as they go on the wire; the same for the same message."""
    if isinstance(frame, Several):
        if frame.frames is None:
            frame.frames = _split(frame)
        return frame.frames
    return _split(frame) or [frame]


def _split(frame: Frame) -> list[Frame]:
    frames: list[Frame] = []
    at = 0
    for kind, size in frame.parts:
        frames.append(kind(frame.data[at : at + size]))
        at += size
    return frames


class _Awaited:
    """Stands for a codec that is made with the next connection: messages wait for it as they are."""

    def encode(self, message: Any, /) -> Unmade:
        copy = message
        if type(message) not in IMMUTABLE:
            try:
                copy = deepcopy(message)
            except BaseException as error:  # it cannot be copied
                raise_fatal(error)
        return Unmade(message, copy, weigh(message))


AWAITED: Final = cast("Codec[Any, Any]", _Awaited())


def _forget_soon() -> None:
    """Keep a large frame for this turn, in which its message may go to many; where no event loop runs, do not."""
    try:
        get_running_loop().call_soon(_forget)
    except RuntimeError:
        _forget()


def _forget() -> None:
    global last
    last = _NONE


def is_pure(codec: object) -> bool:
    """Return whether a codec says that it makes the same frame of the same message, however often it is asked."""
    return getattr(codec, "pure", False) is True


def with_copy(frame: Frame) -> Frame:
    """Keep a copy of the message with its frame, if it may change, and can be copied."""
    if type(frame.message) in IMMUTABLE or frame.copy is not NO_COPY:
        return frame
    kept = Limited(frame, connection=frame.connection, expires=frame.expires)
    try:
        kept.copy = deepcopy(frame.message)
    except BaseException as error:
        raise_fatal(error)
        return frame
    return kept


def encode_again(frame: Frame, before: Codec[Any, Any], codec: Codec[Any, Any]) -> Frame | None:
    """Encode the message of a frame for another codec, as it was when the frame was made; raises as `encode`.

    `None` if it may have changed since, and nobody knows what it was.
    """
    message = frame.message if type(frame.message) in IMMUTABLE else _as_it_was(frame, before)
    if message is NO_COPY:
        return None
    again = Limited(encode(codec, message), connection=frame.connection, expires=frame.expires)
    again.message, again.copy, again.lost = frame.message, frame.copy, frame.lost
    return again


def _as_it_was(frame: Frame, codec: Codec[Any, Any]) -> Any:
    """Find the message that a frame was made of: the copy, the object that makes the same frame, or what it reads."""
    if frame.copy is not NO_COPY or not is_pure(codec):
        return frame.copy
    if _makes(codec, frame.message, frame.data):
        return frame.message
    try:
        read = codec.decode(frame.data.decode() if frame.opcode == Text.opcode else frame.data)
    except BaseException as error:
        raise_fatal(error)
        return NO_COPY
    return read if _makes(codec, read, frame.data) else NO_COPY


def _makes(codec: Codec[Any, Any], message: Any, data: bytes) -> bool:
    try:
        return encode(codec, message).data == data
    except Exception:  # an `EncodeError`, or a `Close` of the codec's
        return False


def hand_on(receive: Callable[[Any], object], message: str | bytes, data: bytes, packed: bytes) -> None:
    """Let `receive` take a message that came compressed; what is made of it meanwhile goes out as it came.

    `data` are its bytes, and `packed` what they were on the wire. An equal message that is sent later is compressed
    anew: its length must not tell a stranger who has guessed it.
    """
    global _came
    _came = data, packed
    try:
        receive(message)
    finally:
        _came = _UNCOMPRESSED


class sharing:
    """Use one frame of this very object for all sockets with the same codec in the block, in which nobody changes it.

    It is the `frame` that is given, or the one that is made for the first of them, by a codec that is pure.

    >>> from rxws.codecs import json
    >>> with sharing(news := {"a": 1}) as _:
    ...     encode(json, news) is encode(json, news)
    True
    """

    __slots__ = ("_before", "made", "message")

    def __init__(self, message: Any, codec: Codec[Any, Any] | None = None, frame: Text | Binary = NO_FRAME) -> None:
        self.message = message
        self.made = codec, frame
        """Its codec, and its frame: one object, since other threads may look."""

    def __enter__(self) -> None:
        """Begin."""
        global _shared
        self._before, _shared = _shared, self

    def __exit__(self, *_: object) -> None:
        """End: for other threads too, which may have begun meanwhile and find this one again when they end."""
        global _shared
        self.message = NO_FRAME
        _shared = self._before


_shared = sharing(NO_FRAME)
"""The message that is being handed to many, its codec, and its frame."""
