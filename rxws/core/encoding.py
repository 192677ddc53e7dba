"""Encode a message to a frame: once, if the message goes to many sockets."""

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

MAX_KEPT: Final = 64 * 1024
"""Bytes of the largest frame, and of the largest message, that are kept after the current turn of the event loop."""

NO_FRAME: Final = Text(b"")
_NONE: Final[tuple[Any, Any, Text | Binary]] = NO_FRAME, None, NO_FRAME

last: tuple[Any, Any, Text | Binary] = _NONE
"""The last immutable message, its codec, and its frame. One object, so that other threads read all three at once."""

_UNCOMPRESSED: Final = None, b""
_received: tuple[bytes | None, bytes] = _UNCOMPRESSED
"""The bytes of the message that is being emitted, if it came compressed, and its compressed bytes."""


def encode(codec: Codec[Any, Any], message: Any, *, keep: bool = True) -> Text | Binary:
    """Encode a message. Raises `EncodeError`, or the `Close` that the codec raised.

    If the codec is pure, and the message is the same object as the last immutable or shared message, this returns the
    same frame. Without `keep`, the frame is not kept for that: pass `keep=False` in other threads than the socket's.

    Memory: one message and its frame, of at most `MAX_KEPT` bytes each; larger ones only in the current turn of the
    event loop.
    """
    latest = last
    if message is latest[0] and codec is latest[1]:
        return latest[2]
    return encode_new(codec, message, keep=keep)


def encode_new(codec: Codec[Any, Any], message: Any, *, keep: bool = True) -> Text | Binary:
    """Like `encode`, but the caller knows that the message is not the last one."""
    global last
    shared = _shared
    if message is shared.message and codec is (made := shared.made)[0]:
        return made[1]
    try:
        if codec is text and type(message) is str:
            frame = Text(message.encode(), message)
            if keep and _received is _UNCOMPRESSED:  # the usual case, without the checks below
                last = message, codec, frame
                if frame.weight > MAX_KEPT:
                    _forget_soon()
                return frame
        elif isinstance(data := codec.encode(message), str):
            frame = (Text if type(data) is not UncompressedStr else PlainText)(data.encode(), message)
        elif isinstance(data, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            frame = (Binary if type(data) is not UncompressedBytes else PlainBinary)(bytes(data), message)
        else:
            frame = _of_parts(codec, data, message)
    except BaseException as cause:
        raise_fatal(cause)
        if parted(cause, Close)[0] is not None:
            raise
        raise EncodeError(message, _reason(message, cause)) from cause
    if (received := _received) is not _UNCOMPRESSED and received[0] == frame.data:
        frame.deflated = {AS_IT_CAME: received[1]}
    if not keep:
        return frame
    if type(message) in IMMUTABLE:
        if codec is text or codec is json:  # whose frames are not smaller than their messages
            is_large = frame.weight > MAX_KEPT
        elif is_pure(codec):
            is_large = frame.weight > MAX_KEPT or getsizeof(message) > MAX_KEPT
        else:
            return frame
        last = message, codec, frame
        if is_large:
            _forget_soon()
    elif message is shared.message and is_pure(codec):
        shared.made = codec, frame
    return frame


def _reason(message: Any, cause: BaseException) -> str:
    """Say why a message cannot be sent. Close a coroutine, so that Python does not warn that it was never awaited."""
    if not inspect.iscoroutine(message):
        return described(cause, str)
    message.close()
    return "it is a coroutine that nobody awaited: rxws.operators.map_async(f) in place of ops.map(f)"


def _of_parts(codec: Codec[Any, Any], data: Any, message: Any) -> Binary | Text:
    """Combine the frames of one message into one `Frame`, which goes on the wire as several."""
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
    """Return the frames of a message, as they go on the wire; the same objects each time for a `Several`."""
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
    """Stands for the codec that the next connection will bring: until then, messages wait without being encoded."""

    def encode(self, message: Any, /) -> Unmade:
        copy = message
        if type(message) not in IMMUTABLE:
            try:
                copy = deepcopy(message)
            except BaseException as error:  # it cannot be copied: if it changes meanwhile, so does what is sent
                raise_fatal(error)
        return Unmade(message, copy, weigh(message))


AWAITED: Final = cast("Codec[Any, Any]", _Awaited())


def _forget_soon() -> None:
    """Keep a large frame in this turn, in which its message may go to many sockets; without an event loop, do not."""
    try:
        get_running_loop().call_soon(_forget)
    except RuntimeError:
        _forget()


def _forget() -> None:
    global last
    last = _NONE


def is_pure(codec: object) -> bool:
    """Return whether a codec says that it always makes the same frame from the same message."""
    return getattr(codec, "pure", False) is True


def with_copy(frame: Frame) -> Frame:
    """Return a frame that also has a copy of its message; the same frame if that is immutable or cannot be copied."""
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
    """Encode a frame's message with another codec, as it was when the frame was made. Raises like `encode`.

    Returns `None` if the message may have changed since, and cannot be restored.
    """
    message = frame.message if type(frame.message) in IMMUTABLE else _original(frame, before)
    if message is NO_COPY:
        return None
    again = Limited(encode(codec, message), connection=frame.connection, expires=frame.expires)
    again.message, again.copy, again.lost = frame.message, frame.copy, frame.lost
    return again


def _original(frame: Frame, codec: Codec[Any, Any]) -> Any:
    """Return the message that a frame was made from: its copy, the object if it still gives this frame, or decoded."""
    if frame.copy is not NO_COPY or not is_pure(codec):
        return frame.copy
    if _encodes_to(codec, frame.message, frame.data):
        return frame.message
    try:
        decoded = codec.decode(frame.data.decode() if frame.opcode == Text.opcode else frame.data)
    except BaseException as error:
        raise_fatal(error)
        return NO_COPY
    return decoded if _encodes_to(codec, decoded, frame.data) else NO_COPY


def _encodes_to(codec: Codec[Any, Any], message: Any, data: bytes) -> bool:
    try:
        return encode(codec, message).data == data
    except Exception:  # an `EncodeError`, or the `Close` that the codec raised
        return False


def hand_on(receive: Callable[[Any], object], message: str | bytes, data: bytes, packed: bytes) -> None:
    """Call `receive` with a message that came compressed. If it is sent meanwhile, it is not compressed again.

    `data` are its bytes, `packed` its compressed bytes. An equal message that is sent later is compressed again: if its
    length showed that an equal one came before, a peer could find out by guesses what others send.
    """
    global _received
    _received = data, packed
    try:
        receive(message)
    finally:
        _received = _UNCOMPRESSED


class sharing:
    """Within the block, use one frame of this object for all sockets with the same codec. The block must not change it.

    The frame is `frame` if that is given. Otherwise it is made for the first socket, if the codec is pure.

    >>> from rxws.codecs import json
    >>> with sharing(news := {"a": 1}) as _:
    ...     encode(json, news) is encode(json, news)
    True
    """

    __slots__ = ("_before", "made", "message")

    def __init__(self, message: Any, codec: Codec[Any, Any] | None = None, frame: Text | Binary = NO_FRAME) -> None:
        self.message = message
        self.made = codec, frame
        """The codec and the frame. One object, so that other threads read both at once."""

    def __enter__(self) -> None:
        """Make this the message that is shared."""
        global _shared
        self._before, _shared = _shared, self

    def __exit__(self, *_: object) -> None:
        """Make the message before it the shared one again.

        Another thread may have entered a block meanwhile. At its end it restores this object, which then must match
        nothing.
        """
        global _shared
        self.message = NO_FRAME
        _shared = self._before


_shared = sharing(NO_FRAME)
"""The message that is being sent to many sockets, its codec, and its frame."""
