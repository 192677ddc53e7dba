"""permessage-deflate: what makes messages smaller, and large again (RFC 7692, sections 7.2.1 and 7.2.2).

It knows no transport. A message is compressed once for all sockets that agree on the same; one that is kept in its
context is compressed by its socket.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from rxws.core.wire import AS_IT_CAME, Binary, Frame
from rxws.options import Deflate
from rxws.wires.negotiation import Agreement, Half


def _fixed(data: bytes) -> bytes:
    """Compress to a last block of the fixed code, in which the data are not to be seen."""
    stream = zlib.compressobj(wbits=-15, strategy=zlib.Z_FIXED)
    return stream.compress(data) + stream.flush()


RSV1: Final = 0x40
"""The bit of a message's first byte that says that it is compressed."""

LARGEST: Final = 4 * 1024 * 1024
"""Bytes of a message that may be compressed: the largest that the WebSocket of Node.js 20 inflates."""

TAIL: Final = b"\x00\x00\xff\xff"
"""The end of what is compressed, which is not sent."""

END: Final = TAIL + b"\x03\x00"
"""The same with a last block, which is empty: nothing comes to it that is cut within a block."""

SEED: Final = os.urandom(8)
"""What no peer knows."""

PROBE: Final = TAIL + _fixed(SEED)
"""The end with a last block that has the seed: it gives the seed back only to who is between two blocks before it."""

BLOCKS: Final = 16
"""Last blocks that a message may have, each of which begins anew; it needs none."""

SMALLEST_WINDOW: Final = 9
"""zlib takes this where 8 are wanted; what it then refers to is at most 250 bytes away."""

QUICK: Final = 6
"""The level up to which what a peer has compressed is small enough to be sent on."""

Deflater = Callable[[Frame], Frame]
"""Makes of a frame the one that goes on the wire: the same if it goes as it is."""


class InflateError(Exception):
    """What came cannot be inflated, or is too large."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Deflated(Frame):
    """What a frame is on the wire."""

    __slots__ = ("opcode",)

    def __init__(self, frame: Frame, data: bytes) -> None:
        super().__init__(data)
        self.opcode = frame.opcode | RSV1


class Deflation(NamedTuple):
    """What a socket makes messages smaller and large again with."""

    deflate: Deflater | None
    inflate: Inflater | None
    limit: int | None
    """Bytes that an incoming message may have, inflated or plain; `None` if any."""


def wire_limit(limit: int | None) -> int | None:
    """Give the bytes that a message may have on the wire: what cannot be compressed becomes larger.

    >>> wire_limit(1024)
    2176
    """
    return None if limit is None else limit + limit // 8 + 1024


def make_deflation(wanted: Deflate | bool, agreed: Agreement | None, limit: int | None) -> Deflation:
    """Make what a handshake has agreed on; nothing is compressed where it has not."""
    if agreed is None:
        return Deflation(None, None, limit)
    options = wanted if isinstance(wanted, Deflate) else Deflate()
    outgoing = agreed.outgoing
    settings = options.level, max(outgoing.bits, SMALLEST_WINDOW), options.memory_level, options.threshold
    if not outgoing.resets:
        deflate: Deflater = ContextDeflater(*settings)
    elif (deflate := _shared.get(settings)) is None:  # pyright: ignore[reportAssignmentType]
        deflate = _shared.setdefault(settings, SharedDeflater(*settings))
    return Deflation(deflate, Inflater(agreed.incoming, limit), limit)


class SharedDeflater:
    """Compresses each message by itself, once for all sockets; from any thread.

    The compressor is kept, since nearly all of the time that a new one takes is for its memory. After a full flush it
    makes the same bytes as a new one. A message that is sent on goes as it came, unless the window here is smaller than
    the peer's may be, or the level is above `QUICK`.

    Memory: one compressor, and with each frame its compressed one.
    """

    def __init__(self, level: int, bits: int, memory_level: int, threshold: int) -> None:
        self._make: Callable[[], Any] = lambda: zlib.compressobj(level, zlib.DEFLATED, -bits, memory_level)
        self._threshold = threshold
        self._relays = bits == 15 and level <= QUICK
        self._idle = deque[Any](maxlen=1)  # taken and put back in one step each, whatever other threads do

    def __call__(self, frame: Frame) -> Frame:
        """Give the frame that goes on the wire; the same for the same frame."""
        made = frame.deflated
        if made is not None and (known := made.get(self)) is not None:
            return frame if known is AS_IT_IS else known
        if not _is_worth_it(frame, self._threshold):
            return frame
        came = None if made is None or not self._relays else made.get(AS_IT_CAME)
        data = self._compress(frame.data) if came is None else came
        smaller = Deflated(frame, data) if len(data) < len(frame.data) else None
        if made is None:
            made = frame.deflated = {}
        made[self] = smaller or AS_IT_IS
        return smaller or frame

    def _compress(self, data: bytes) -> bytes:
        try:
            stream = self._idle.pop()
        except IndexError:
            stream = self._make()
        packed = stream.compress(data) + stream.flush(zlib.Z_FULL_FLUSH)
        self._idle.append(stream)  # not if that raised: it would have a part of the message
        return packed[: -len(TAIL)]


class ContextDeflater:
    """Compresses messages with those before them, for one socket.

    Memory: a compressor, from the first message on.
    """

    __slots__ = ("_settings", "_stream", "_threshold")

    def __init__(self, level: int, bits: int, memory_level: int, threshold: int) -> None:
        self._settings = level, zlib.DEFLATED, -bits, memory_level
        self._threshold = threshold
        self._stream: Any = None

    def __call__(self, frame: Frame) -> Frame:
        """Give the frame that goes on the wire next."""
        if not _is_worth_it(frame, self._threshold):
            return frame
        if (stream := self._stream) is None:
            stream = self._stream = zlib.compressobj(*self._settings)
        data = stream.compress(frame.data) + stream.flush(zlib.Z_SYNC_FLUSH)
        return Deflated(frame, data[: -len(TAIL)])


class Inflater:
    """Inflates the messages of a peer.

    Memory: nothing between messages, or with the peer's context what refers back, from the first one on.
    """

    __slots__ = ("_bits", "_keeps", "_most", "_stream", "stands_alone")

    def __init__(self, agreed: Half, limit: int | None) -> None:
        self._bits = -max(agreed.bits, SMALLEST_WINDOW)
        self._keeps = not agreed.resets
        self._most = 2**62 if limit is None else limit
        self._stream: Any = None
        self.stands_alone = False
        """Whether the last message is whole by itself for everyone: it refers to nothing before it, has no last block,
        and ends between two blocks."""

    def __call__(self, data: bytes | bytearray) -> bytes:
        """Inflate a message; raises `InflateError`: 1009 for one that is too large, which is not inflated further."""
        message = None if self._keeps else self._alone(data)
        self.stands_alone = message is not None
        return self._any(data) if message is None else message

    def _alone(self, data: bytes | bytearray) -> bytes | None:
        """Inflate a message that stands alone, as nearly all do."""
        stream, most = zlib.decompressobj(self._bits), self._most
        try:
            message = stream.decompress(data + PROBE, most + 1 + len(SEED))
        except zlib.error:
            return None
        if len(message) > most + len(SEED):
            raise self._too_large()
        return message[: -len(SEED)] if message.endswith(SEED) else None

    def _any(self, data: bytes | bytearray) -> bytes:
        """Inflate a message with what came before it, or with last blocks; raises for what is none."""
        if not data:
            return b""  # what zlib makes of an empty message, behind another one
        most, end = self._most, TAIL if self._keeps else END
        stream = self._stream or zlib.decompressobj(self._bits)
        try:
            message = stream.decompress(data + end, most + 1)
            for _ in range(BLOCKS):
                if not stream.eof or len(message) > most or (rest := stream.unused_data) in (b"", end):
                    break
                stream = zlib.decompressobj(self._bits)
                message += stream.decompress(rest, most + 1 - len(message))
            else:
                raise InflateError(1002, f"a compressed message with more than {BLOCKS} last blocks")
        except zlib.error as error:
            raise InflateError(1002, f"a message that cannot be inflated: {error}") from None
        if len(message) > most:
            raise self._too_large()
        if self._keeps:
            self._stream = None if stream.eof else stream
        elif not stream.eof:
            raise InflateError(1002, "a compressed message that is not whole")
        return message

    def _too_large(self) -> InflateError:
        return InflateError(1009, f"a message of more than {self._most} bytes, inflated")


AS_IT_IS: Final = object()
"""What stands for a frame that compression would not make smaller."""

_shared: Final[dict[tuple[int, int, int, int], SharedDeflater]] = {}
"""One for each set of options, and each window that a peer may ask for."""


def _is_worth_it(frame: Frame, threshold: int) -> bool:
    return threshold <= len(frame.data) <= LARGEST and frame.opcode <= Binary.opcode and not frame.plain
