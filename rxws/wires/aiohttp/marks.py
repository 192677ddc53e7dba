"""Compressed messages for aiohttp's parser: it hands them on as they are, and they are inflated in their turn."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import WebSocketError, WSCloseCode

from rxws.core.wire import Binary, Endpoint
from rxws.wires.deflate import RSV1, Deflation, InflateError, wire_limit

PLAIN: Final = 0


class MarkFilter:
    """Stands between a `HeaderWatch` and aiohttp's parser, and takes the marks off compressed messages.

    That parser would inflate all that it is given at once, and keep 37 KiB for it; and what it inflates is wrong in
    some releases. Without its mark (RSV1, RFC 7692, section 6) a message is a binary one to it, and `unpack` makes of
    it what it was. The limit of a message is checked here, too, which is another one on the wire than inflated.

    Memory: a byte for each message that is parsed and not unpacked yet; a header that is not whole.
    """

    __slots__ = ("_header", "_kinds", "_left", "_limits", "_mask", "_most", "_parser", "_queue", "_size", "deflation")

    def __init__(self, parser: Any, queue: Any, deflation: Deflation, *, masked: bool) -> None:
        self.deflation = deflation
        """What messages are compressed and inflated with."""
        self._parser = parser
        self._queue = queue
        self._mask = 4 if masked else 0
        self._left = 0  # bytes of the present frame that are to come
        self._header = b""
        self._kinds = bytearray()
        self._size = 0  # of the present message, as far as its headers tell
        self._limits = [2**64 if limit is None else limit for limit in (deflation.limit, wire_limit(deflation.limit))]
        self._most = 0

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Parse a chunk of frames that are right."""
        data, self._header = self._header + data, b""
        size, at, marks = len(data), self._left, list[int]()
        while at < size:
            if size - at < 2:
                break
            first, length = data[at], data[at + 1] & 0x7F
            header = 2 + self._mask
            if length > 125:
                wide = 2 if length == 126 else 8
                if size - at < 2 + wide:
                    break
                length = int.from_bytes(data[at + 2 : at + 2 + wide], "big")
                header += wide
            if not first & 8:
                if first & 0xF:
                    self._begin(first)
                    if first & RSV1:
                        marks.append(at)
                self._size += length
                if self._size > self._most:
                    self._parse(data[:at], marks)
                    self._refuse()
                    return True, b""
            at += header + length
        if at < size:
            data, self._header, self._left = data[:at], data[at:], 0
        else:
            self._left = at - size
        return self._parse(data, marks)

    def feed_eof(self) -> None:
        """Parse the end."""
        self._parser.feed_eof()

    def unpack(self, data: Any, endpoint: Endpoint) -> Any:
        """Make of the next message what it was; raises `InflateError`."""
        kind = self._kinds[0]
        del self._kinds[:1]
        if kind == PLAIN:
            return data
        inflate = self.deflation.inflate
        assert inflate is not None, "the watch lets no mark pass that was not agreed on"
        message = inflate(data)
        endpoint.counters.received_saved += len(message) - len(data)
        if kind == Binary.opcode:
            return message
        try:
            return message.decode()
        except UnicodeDecodeError as error:
            raise InflateError(WSCloseCode.INVALID_TEXT, f"a text that is not UTF-8: {error.reason}") from None

    def _begin(self, first: int) -> None:
        """Note what message begins."""
        marked = bool(first & RSV1)
        self._size, self._most = 0, self._limits[marked]
        self._kinds.append(first & 0xF if marked else PLAIN)

    def _parse(self, data: bytes, marks: list[int]) -> tuple[bool, bytes]:
        if not data:
            return False, b""
        if marks:
            changed = bytearray(data)
            for at in marks:
                if at < len(data):
                    changed[at] = changed[at] & 0x80 | Binary.opcode
            data = bytes(changed)
        result: tuple[bool, bytes] = self._parser.feed_data(data)
        return result

    def _refuse(self) -> None:
        self._left = 2**64  # of a frame that is not parsed: all that comes is
        if self._queue.exception() is None:
            why = f"a message of more than {self.deflation.limit} bytes"
            self._queue.set_exception(WebSocketError(WSCloseCode.MESSAGE_TOO_BIG, why))
