"""Watching a message arrive: aiohttp's parser does not tell that one has begun, only when it is whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import WebSocketError, WSCloseCode

from rxws.wires.aiohttp.fast.chunks import MANY


class HeaderWatch:
    """Stands before aiohttp's parser, and follows the peer's frames by their headers (RFC 6455, section 5.2).

    Memory: a header that is not whole yet, at most 13 bytes.
    """

    __slots__ = (
        "_header",
        "_ignoring",
        "_left",
        "_limit",
        "_open",
        "_queue",
        "_time",
        "frames",
        "messages",
        "on_many",
        "on_part",
        "parser",
        "since",
    )

    def __init__(
        self, parser: Any, queue: Any, time: Callable[[], float], *, limit: int = 0, arrived: bytes = b""
    ) -> None:
        """Watch from the first byte on; `arrived` is what the parser has been given already.

        A frame of `limit` bytes or more, if that is not 0, is an error of the `queue` when its header is there: older
        parsers would collect it first.
        """
        self.since: float | None = None
        """Since when a message is on its way that is not whole, while there is one."""
        self.frames = 0
        """The frames that began in the last chunk."""
        self.messages = 0
        """The messages and control frames whose last frame has begun, so far."""
        self.on_many: Callable[[], object] | None = None
        """Called after each chunk of more than `MANY` frames."""
        self.on_part: Callable[[], object] | None = None
        """Called after each chunk that ends within a message."""
        self.parser = parser
        """What it stands before."""
        self._queue = queue
        self._limit = limit
        self._time = time
        self._header: bytes = b""
        self._ignoring = False
        self._left: int = 0  # bytes of the present frame that are to come
        self._open: bool = False  # fragments have come, but not the last one
        if self._follow(arrived) >= 0:
            self._refuse_size()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Parse a chunk."""
        if self._ignoring:
            return False, b""
        known = self._follow(data)
        result: tuple[bool, bytes] = self.parser.feed_data(data if known < 0 else data[:known])
        if known >= 0:
            self._refuse_size()
            return True, b""
        if self.since is not None and self.on_part is not None:
            self.on_part()
        if self.frames > MANY and self.on_many is not None:
            self.on_many()
        return result

    def parsed(self, data: bytes) -> None:
        """Follow a chunk that the parser has been given already."""
        if self._follow(data) >= 0:
            self._refuse_size()
        elif self.since is not None and self.on_part is not None:
            self.on_part()

    def feed_eof(self) -> None:
        """Parse the end."""
        self.parser.feed_eof()

    def begin(self, on_part: Callable[[], object]) -> None:
        """Tell from now on, and of what has come already."""
        self.on_part = on_part
        if self.since is not None:
            on_part()

    def end(self) -> None:
        """Tell no more."""
        self.on_part = self.on_many = None

    def ignore(self) -> None:
        """Keep from the parser what comes from now on."""
        self._ignoring = True

    def refuse(self, code: int, why: str) -> None:
        """Fail the connection, and keep from the parser what comes from now on."""
        self._ignoring = True
        self._queue.set_exception(WebSocketError(code, why))

    def excuse(self) -> None:
        """Count anew: the peer was kept from going on."""
        if self.since is not None:
            self.since = self._time()

    def _refuse_size(self) -> None:
        self.refuse(WSCloseCode.MESSAGE_TOO_BIG, f"a frame of {self._limit} bytes or more")

    def _follow(self, data: bytes) -> int:
        """Follow a chunk; return where the frame begins in it that is too big, or -1."""
        carried = len(self._header)
        data, self._header = self._header + data, b""
        size, at, since, fragmented, frames = len(data), self._left, self.since, self._open, 0
        messages = self.messages
        while at < size:
            if at and not fragmented:
                since = None  # all that came before is whole
            if size - at < 2:
                break
            first, length = data[at], data[at + 1]
            header = 6 if length & 0x80 else 2
            length &= 0x7F
            if length > 125:
                wide = 2 if length == 126 else 8
                if size - at < 2 + wide:
                    break
                length = int.from_bytes(data[at + 2 : at + 2 + wide], "big")
                header += wide
            if self._limit and length >= self._limit:
                return max(0, at - carried)
            if first & 8 == 0:  # a control frame may come between fragments
                fragmented = first < 0x80
            at += header + length
            frames += 1
            messages += first >> 7
        if at < size:
            self._header, self._left, whole = data[at:], 0, False
        else:
            self._left = at - size
            whole = at == size and not fragmented
        self._open, self.frames, self.messages = fragmented, frames, messages
        self.since = None if whole else self._time() if since is None else since
        return -1
