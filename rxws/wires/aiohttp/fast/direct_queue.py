"""Messages straight from aiohttp's parser, without the detour of its queue."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any, Final, Protocol, cast

from aiohttp import WSMsgType
from aiohttp._websocket import reader_py
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

from rxws.stats import Counters
from rxws.wires.aiohttp.fast.framing import MEDIUM_SIZE

TEXT: Final = WSMsgType.TEXT
BINARY: Final = WSMsgType.BINARY
PING: Final = WSMsgType.PING
PONG: Final = WSMsgType.PONG
CLOSE: Final = WSMsgType.CLOSE
NO_PROTOCOL: Final = cast("Any", SimpleNamespace(_loop=None, _reading_paused=False))
"""Stands for a protocol where only parsing matters."""

DECODE_TEXT: Final = (
    {"decode_text": True} if "decode_text" in inspect.signature(reader_py.WebSocketReader).parameters else {}
)
"""What newer parsers have to be told besides."""

_READER: Final[Any] = WebSocketReader

NO_HEADER: Final = b"\0\0"
"""What needs a closer look, in place of a chunk."""

LIMIT: Final = 2**16
"""What aiohttp's queue has as its limit, in bytes."""

MADE_LATER: Final = "_buffer" in vars(WebSocketDataQueue)
"""Whether aiohttp's queue is compiled: then its fields are there before they are made."""


class Receiver(Protocol):
    """What gets the messages that pass; while it does not know their chunk, by `message_received` alone."""

    as_it_comes: bool
    counters: Counters

    def emit(self, message: Any, /) -> object:
        """Take a data message that is counted, if all go `as_it_comes`."""

    def message_received(self, data: Any) -> None:
        """Take a data message."""


class Controlled(Protocol):
    """What gets the control frames that pass."""

    def control_received(self, message: Any) -> None:
        """Take one, as aiohttp has it."""


class Watch(Protocol):
    """What looks at headers."""

    def check(self, data: bytes) -> tuple[int, int, Exception | None]:
        """Look at those in the rest of a chunk: messages and bytes before a violation, and the violation."""
        ...


class DirectQueue(WebSocketDataQueue):
    """aiohttp's queue, but while it is open what comes passes, within the call that parses it.

    Data messages go to the `receiver`, control frames to the `wire`. Anything else is queued, and closes it: nothing
    may overtake what is queued. aiohttp's part is made for the first that is queued, since its `deque` is large.

    Whole messages at the beginning of a chunk do not come here: the wire reads them itself. The parser does not tell
    how the others came. Most are one frame with a short length, `masked` or not: as long as the next frame of the
    `chunk` is just that, its header needs no closer look. At the first that is not, `check` gets the rest.
    """

    __slots__ = (
        *("_end", "_header", "_medium", "_unmade", "at", "before", "chunk", "is_open", "left", "mask"),
        *("receiver", "sound", "surely_small", "violation", "watch", "wire"),
    )
    receiver: Receiver
    """What gets the messages: the endpoint."""
    wire: Controlled
    """What gets the control frames."""
    watch: Watch
    """What looks at the headers in the rest of a chunk."""

    def __init__(self, protocol: Any, *, masked: bool = True, limit: int = 0) -> None:
        self._unmade = protocol  # until aiohttp's part is there
        if not MADE_LATER:
            self._make()
        self.mask, self._header = (0x80, 6) if masked else (0, 2)
        """The bit of the second byte that says that a frame is masked, where each has to be."""
        self._medium = self.mask + 126
        self._end: tuple[bytes, int] | None = None  # a chunk, and where the message ends that it begins within
        self.surely_small = min(limit - 1, MEDIUM_SIZE) if limit else MEDIUM_SIZE
        """Bytes of the largest message that need not come through the parser, which may refuse one of `limit` bytes."""
        self.is_open = False
        self.left = 0
        """Messages that may still pass in this turn of the event loop; 0 while it is not open."""
        self.chunk = b""
        """What is being parsed, from the beginning of a frame on."""
        self.at = 0
        """Where the second byte of its next frame is; 0 when `check` has the rest, or nothing is being parsed."""
        self.violation: Exception | None = None
        """What a header in the chunk deserves."""
        self.sound = 0
        """Messages that are still to come before it."""
        self.before = b""
        """The bytes that come before it."""

    @property
    def takes_lone(self) -> bool:
        """Whether a short message of a client's that is alone in its chunk need not come through the parser."""
        return self.mask != 0 and self.surely_small >= 125

    def open(self) -> None:
        """Let messages pass from now on."""
        self.is_open = True

    def close(self) -> None:
        """Queue what comes from now on."""
        self.is_open, self.left = False, 0

    def detach(self) -> None:
        """Forget the parser's watch and the wire, which have this: nothing more is parsed."""
        self.close()
        del self.receiver, self.wire, self.watch

    def _make(self) -> None:
        protocol, self._unmade = self._unmade, None
        if protocol is not None:
            super().__init__(protocol, LIMIT, loop=protocol._loop)

    def feed_data(self, data: Any, size: int) -> None:
        """Hand on a message, or queue it; raises a violation, which the parser then reports as one of its own."""
        kind = data[0]
        if not (left := self.left):
            pass
        elif kind is TEXT or kind is BINARY:
            self.left = left - 1
            receiver = self.receiver
            if (
                (at := self.at)
                and (chunk := self.chunk)[at - 1] > 0x80
                and chunk[at] == (size + self.mask if size < 126 else self._medium)
            ):
                self.at = at + size + (self._header if size < 126 else self._header + 2)
                if receiver.as_it_comes:
                    counters = receiver.counters
                    counters.received += 1
                    counters.received_bytes += size
                    emit = receiver.emit
                    emit(data[1])
                    return
            else:
                self._look()
            receiver.message_received(data[1])
            return
        elif kind is PING or kind is PONG or kind is CLOSE:
            self.left = left - 1
            if not self._ends_with_control():
                self._look()
            if kind is CLOSE:
                self.close()  # nothing counts behind it
            self.wire.control_received(data)
            return
        self.close()
        self._look()
        self._make()
        super().feed_data(data, size)

    def read(self) -> Any:
        """Wait for what is queued, as aiohttp does."""
        self._make()
        return super().read()

    def begin_within(self, chunk: bytes, end: int) -> None:
        """Begin a chunk within a message, whose header is known, and which ends there."""
        self._end = chunk, end
        self.chunk, self.at = NO_HEADER, 1

    def finish(self) -> None:
        """End a chunk of which more has come than the messages that passed."""
        if self._end is not None:  # the message has failed
            self._end = None
            return
        if self.at:
            self._look_at_rest()
        if self.violation is not None and (self.exception() is None or _parses(self.before)):
            self.set_exception(self.violation)

    def _ends_with_control(self) -> bool:
        """Pass a control frame that is just that, and the last of its chunk, as it is in most chunks."""
        if not (at := self.at) or (chunk := self.chunk)[at - 1] & 0xF8 != 0x88:
            return False
        length, size = chunk[at] - self.mask, len(chunk)
        if not 0 <= length < 126 or at - 1 + self._header + length != size:
            return False
        self.at = size + 1
        return True

    def _look(self) -> None:
        if self._end is not None:
            (self.chunk, end), self._end = self._end, None
            self.at = end + 1
            return
        if self.at:
            self._look_at_rest()
        if self.violation is not None:
            if not self.sound:
                raise self.violation
            self.sound -= 1

    def _look_at_rest(self) -> None:
        rest, self.at = self.chunk[self.at - 1 :], 0
        self.sound, known, self.violation = self.watch.check(rest)
        self.before = rest[:known]

    def set_exception(self, exc: BaseException, *args: Any, **kwargs: Any) -> None:
        """Keep what the peer did wrong; nothing passes from now on."""
        self.close()
        self._make()
        super().set_exception(exc, *args, **kwargs)


def make_parser(queue: WebSocketDataQueue, max_msg_size: int) -> Any:
    """Make aiohttp's parser of messages that are not compressed."""
    return _READER(queue, max_msg_size, compress=False, **DECODE_TEXT)


def _parses(data: bytes) -> bool:
    """Return whether aiohttp's parser accepts what comes before a violation; if not, that is what ends a connection."""
    queue = DirectQueue(NO_PROTOCOL)
    make_parser(queue, 0).feed_data(data)
    return queue.exception() is None


def next_message(queue: Any) -> tuple[WSMsgType, Any, Any]:
    """Take a message that is there from aiohttp's queue, whose only way to do so is a coroutine."""
    try:
        WebSocketDataQueue.read(queue).send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("aiohttp's queue waits although there is a message")


def _parses_ahead() -> bool:
    queue = DirectQueue(NO_PROTOCOL)
    seen: list[str] = []
    queue.receiver, queue.left = cast("Any", SimpleNamespace(message_received=seen.append)), 2
    queue.open()
    make_parser(queue, 100).feed_data(b"\x81\x02hi\xf1\x02ho")
    return not seen


PARSES_AHEAD: Final = _parses_ahead()
"""Whether a chunk is parsed whole before its messages are fed, as in aiohttp 3.11: a violation would hide them."""
