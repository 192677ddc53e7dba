"""Watching a message arrive: aiohttp's parser does not tell that one has begun, only when it is whole."""

from __future__ import annotations

from typing import Any, Protocol

from aiohttp import WebSocketError, WSCloseCode

from rxws.wires.aiohttp.marks import MarkFilter


class Timekeeper(Protocol):
    """What tells the time, as an event loop does."""

    def time(self) -> float:
        """Return the seconds since some moment."""
        ...


class PartReceiver(Protocol):
    """What is told of parts."""

    def part_received(self) -> None:
        """Note that a chunk has ended within a message."""


class HeaderWatch:
    """Stands before aiohttp's parser, and follows the peer's frames by their headers (RFC 6455, section 5.2).

    Refuses what that parser, or that of an older release, lets pass: a frame of a client that is not masked, or of a
    server that is (section 5.1), a reserved bit without a meaning (section 5.2; RFC 7692, section 6), a length with its
    highest bit set (section 5.2), and a message within another one (section 5.4).

    Memory: a header that is not whole yet, at most 13 bytes.
    """

    __slots__ = (
        "_clock",
        "_compressed",
        "_endpoint",
        "_header",
        "_ignoring",
        "_limit",
        "_mask",
        "_open",
        "_queue",
        "_violation",
        "frames",
        "left",
        "marks",
        "messages",
        "parser",
        "since",
    )

    def __init__(
        self,
        parser: Any,
        queue: Any,
        clock: Timekeeper,
        *,
        masked: bool = True,
        marks: MarkFilter | None = None,
        limit: int = 0,
    ) -> None:
        """Watch from the first byte on.

        Each frame must be `masked`, or none may be. Where messages may be compressed, their first frames may have
        RSV1, which is one of the `marks`. A frame of `limit` bytes or more, if that is not 0, is an error of the
        `queue` when its header is there: older parsers would collect it first.
        """
        self.since: float | None = None
        """Since when a message is on its way that is not whole, while there is one."""
        self.frames = 0
        """The frames that began in the last chunk."""
        self.left: int = 0
        """The bytes of the present frame that are to come, if its header is whole."""
        self.messages: int = 0
        """The messages and control frames whose last frame has begun, so far."""
        self._endpoint: PartReceiver | None = None  # is told of each chunk that ends within a message
        self.parser = parser
        """What it stands before."""
        self.marks = marks
        """What takes the marks off compressed messages, where there may be any."""
        self._queue = queue
        self._mask = 0x80 if masked else 0
        self._compressed = marks is not None and marks.deflation.inflate is not None
        self._limit = limit or 2**63
        self._clock = clock
        self._violation: WebSocketError | None = None
        self._header: bytes = b""
        self._ignoring = False
        self._open: bool = False  # fragments have come, but not the last one

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Parse a chunk."""
        if self._ignoring:
            return False, b""
        known = self._follow(data)
        if known >= 0:
            data = data[:known]
        if self.marks is not None:
            data = self.marks.take_off(data)
        result: tuple[bool, bytes] = self.parser.feed_data(data)
        if known >= 0:
            self._refuse()
            return True, b""
        if self.since is not None and self._endpoint is not None:
            self._endpoint.part_received()
        return result

    def skip_end(self, size: int) -> int:
        """Take a message for whole whose only or last frame ends within the next `size` bytes; return where.

        0 if there is none: what comes next needs a look.
        """
        end = self.left
        if self._open or not 0 < end <= size:
            return 0
        self.left, self.since = 0, None
        return end

    def check(self, data: bytes) -> tuple[int, int, WebSocketError | None]:
        """Follow a chunk that the parser has already: messages and bytes before a violation, and the violation."""
        before = self.messages
        known = self._follow(data)
        if self._violation is not None:
            self._ignoring = True
        elif self.since is not None and self._endpoint is not None:
            self._endpoint.part_received()
        return self.messages - before, max(0, known), self._violation

    def feed_eof(self) -> None:
        """Parse the end."""
        self.parser.feed_eof()

    def begin(self, endpoint: PartReceiver) -> None:
        """Tell it from now on, and of what has come already."""
        self._endpoint = endpoint
        if self.since is not None:
            endpoint.part_received()

    def end(self) -> None:
        """Stop reporting."""
        self._endpoint = None

    def ignore(self) -> None:
        """Keep from the parser what comes from now on."""
        self._ignoring = True

    def refuse(self, code: int, why: str) -> None:
        """Fail the connection, and keep from the parser what comes from now on."""
        self._violation = WebSocketError(code, why)
        self._refuse()

    def excuse(self) -> None:
        """Count anew: the peer was kept from going on."""
        if self.since is not None:
            self.since = self._clock.time()

    def _refuse(self) -> None:
        self._ignoring = True
        if self._queue.exception() is None:  # the parser may have found another one before
            self._queue.set_exception(self._violation)

    def _follow(self, data: bytes) -> int:
        """Follow a chunk; return where its first frame begins that is a violation, or -1."""
        carried, mask, limit = len(self._header), self._mask, self._limit
        data, self._header = self._header + data, b""
        size, at, since, fragmented, frames = len(data), self.left, self.since, self._open, 0
        messages, marks = self.messages, self.marks
        while at < size:
            if at and not fragmented:
                since = None  # all that came before is whole
            if size - at < 2:
                break
            first, second = data[at], data[at + 1]
            header, length = 6 if mask else 2, second & 0x7F
            if length > 125:
                wide = 2 if length == 126 else 8
                if size - at < 2 + wide and second & 0x80 == mask:
                    break
                length = int.from_bytes(data[at + 2 : at + 2 + wide], "big")
                header += wide
            of_message = first & 8 == 0  # a control frame may come between fragments
            if (
                second & 0x80 != mask
                or first & 0x70
                or (of_message and (length >= limit or (first & 0xF != 0) is fragmented))
            ) and (why := self._violation_of(first, second, length, fragmented)) is not None:
                self._violation, self.messages = why, messages
                return max(0, at - carried)
            if of_message:
                if marks is not None and not marks.see(first, length, at - carried):
                    self._violation, self.messages = marks.too_large(), messages
                    return max(0, at - carried)
                fragmented = first < 0x80
            at += header + length
            frames += 1
            messages += first >> 7
        if at < size:
            self._header, self.left, whole = data[at:], 0, False
            if marks is not None and at >= carried:
                marks.see_part(data[at], at - carried)
        else:
            self.left = at - size
            whole = at == size and not fragmented
        self._open, self.frames, self.messages = fragmented, frames, messages
        self.since = None if whole else self._clock.time() if since is None else since
        return -1

    def _violation_of(self, first: int, second: int, length: int, fragmented: bool) -> WebSocketError | None:
        """Return what is wrong with a frame that may be wrong."""
        opcode = first & 0xF
        if second & 0x80 != self._mask:
            why = "a frame that is not masked" if self._mask else "a frame that is masked"
        elif first & 0x70 and not (self._compressed and first & 0x70 == 0x40 and opcode in (1, 2)):
            why = "a frame with a reserved bit set"
        elif opcode < 8 and (opcode != 0) is fragmented:
            why = "a message within another one" if fragmented else "a continuation of no message"
        elif length >= 2**63:
            why = "a length of more than 63 bits"
        elif length >= self._limit:
            return WebSocketError(WSCloseCode.MESSAGE_TOO_BIG, f"a frame of {self._limit} bytes or more")
        else:
            return None
        return WebSocketError(WSCloseCode.PROTOCOL_ERROR, why)
