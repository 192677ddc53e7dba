"""Compressed messages for aiohttp's parser: it hands them on as they are, and they are inflated in their turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aiohttp import WebSocketError, WSCloseCode

from rxws.core.encoding import hand_on
from rxws.core.wire import Binary, Endpoint
from rxws.wires.deflate import RSV1, Deflation, InflateError, wire_limit

PLAIN: Final = 0


class MarkFilter:
    """Takes the marks off compressed messages, for a `HeaderWatch` that stands before aiohttp's parser.

    That parser would inflate all that it is given at once, and keep 37 KiB for it; and what it inflates is wrong in
    some releases. Without its mark (RSV1, RFC 7692, section 6) a message is a binary one to it, and `hand_on` makes
    of it what it was. The limit of a message is checked here, too, which is another one on the wire than inflated.

    Memory: a byte for each message that is parsed and not handed on yet.
    """

    __slots__ = ("_kinds", "_limits", "_marks", "_most", "_size", "deflation")

    def __init__(self, deflation: Deflation) -> None:
        self.deflation = deflation
        """What messages are compressed and inflated with."""
        self._marks: list[int] = []  # where they are in the present chunk
        self._kinds = bytearray()
        self._size = 0  # of the present message, as far as its headers tell
        self._limits = [2**64 if limit is None else limit for limit in (deflation.limit, wire_limit(deflation.limit))]
        self._most = 0

    def see(self, first: int, length: int, at: int) -> bool:
        """Note a frame of a message by its `first` byte; return whether the message is within its limit so far.

        The byte is `at` that place of the chunk, or came before, if that is negative.
        """
        if not first & 0xF:
            self._size += length
        elif first & RSV1:
            self._kinds.append(first & 0xF)
            self._size, self._most = length, self._limits[1]
            if at >= 0:
                self._marks.append(at)
        else:
            self._kinds.append(PLAIN)
            self._size, self._most = length, self._limits[0]
        return self._size <= self._most

    def see_part(self, first: int, at: int) -> None:
        """Note that a chunk ends within a header."""
        if first & RSV1 and not first & 8:
            self._marks.append(at)

    def too_large(self) -> WebSocketError:
        """Make the error of a message that is too large."""
        return WebSocketError(WSCloseCode.MESSAGE_TOO_BIG, f"a message of more than {self.deflation.limit} bytes")

    def take_off(self, data: bytes) -> bytes:
        """Give the chunk that was looked at, or its beginning, without marks."""
        if self._marks:
            changed = bytearray(data)
            for at in self._marks:
                if at < len(data):
                    changed[at] = changed[at] & 0x80 | Binary.opcode
            self._marks.clear()
            return bytes(changed)
        return data

    def hand_on(self, data: Any, endpoint: Endpoint, receive: Callable[[Any], object]) -> int:
        """Call `receive` with the next message as it was, and return its size; raises `InflateError`."""
        kind = self._kinds[0]
        del self._kinds[:1]
        if kind == PLAIN:
            receive(data)
            return len(data)
        inflate = self.deflation.inflate
        assert inflate is not None, "the watch lets no mark pass that was not agreed on"
        inflated = inflate(data)
        size = len(inflated)
        endpoint.counters.received_saved += size - len(data)
        try:
            message = inflated if kind == Binary.opcode else inflated.decode()
        except UnicodeDecodeError as error:
            raise InflateError(WSCloseCode.INVALID_TEXT, f"a text that is not UTF-8: {error.reason}") from None
        if inflate.stands_alone and len(data) < size:
            hand_on(receive, message, inflated, bytes(data))
        else:
            receive(message)
        return size
