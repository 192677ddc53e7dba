"""Messages straight from aiohttp's parser, without the detour of its queue."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final, cast

from aiohttp import WSMsgType
from aiohttp._websocket import reader_py
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader

TEXT: Final = WSMsgType.TEXT
BINARY: Final = WSMsgType.BINARY
DECODE_TEXT: Final = (
    ("decode_text",) if "decode_text" in inspect.signature(reader_py.WebSocketReader).parameters else ()
)
"""What newer parsers have to be told besides."""


NO_HEADER: Final = b"\0\0"
"""What needs a closer look, in place of a chunk."""


class DirectQueue(WebSocketDataQueue):
    """aiohttp's queue, but while it is open `receive` gets the data messages, within the call that parses them.

    Anything else that comes is queued, and closes it: nothing may overtake what is queued.

    The parser does not tell how a message came. Most come as one frame with a short length, `masked` or not: as long as
    the next frame of the `chunk` is just that, its header needs no closer look. At the first that is not, `check` gets
    the rest.
    """

    __slots__ = (
        *("_end", "_header", "_mask", "_medium", "at", "before", "check", "chunk", "is_open", "left", "receive"),
        *("sound", "violation"),
    )
    receive: Callable[[Any], object]
    """What gets the messages: the endpoint's `message_received`."""
    check: Callable[[bytes], tuple[int, int, Exception | None]]
    """What looks at the headers in the rest of a chunk: messages and bytes before a violation, and the violation."""

    def __init__(self, *args: Any, masked: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        self._mask, self._header = (0x80, 6) if masked else (0, 2)
        self._medium = self._mask + 126
        self._end: tuple[bytes, int] | None = None  # a chunk, and where the message ends that it begins within
        self.is_open = False
        self.left = 0
        """Messages that may still pass in this turn of the event loop."""
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

    def open(self) -> None:
        """Let messages pass from now on."""
        self.is_open = True

    def close(self) -> None:
        """Queue what comes from now on."""
        self.is_open = False

    def detach(self) -> None:
        """Forget the parser's watch and the wire, which have this: nothing more is parsed."""
        self.is_open = False
        del self.check, self.receive

    def feed_data(self, data: Any, size: int) -> None:
        """Hand on a message, or queue it; raises a violation, which the parser then reports as one of its own."""
        if self.is_open and (left := self.left) and (data[0] is TEXT or data[0] is BINARY):
            self.left = left - 1
            if (at := self.at) and (chunk := self.chunk)[at - 1] > 0x80:
                if size < 126:
                    if chunk[at] == size + self._mask:
                        self.at = at + size + self._header
                        self.receive(data[1])
                        return
                elif chunk[at] == self._medium:
                    self.at = at + size + self._header + 2
                    self.receive(data[1])
                    return
            self._look()
            self.receive(data[1])
        else:
            self.is_open = False
            self._look()
            super().feed_data(data, size)

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
        self.sound, known, self.violation = self.check(rest)
        self.before = rest[:known]

    def set_exception(self, exc: BaseException, *args: Any, **kwargs: Any) -> None:
        """Keep what the peer did wrong; nothing passes from now on."""
        self.is_open = False
        super().set_exception(exc, *args, **kwargs)


def make_parser(queue: WebSocketDataQueue, max_msg_size: int) -> Any:
    """Make aiohttp's parser of messages that are not compressed."""
    return cast("Any", WebSocketReader)(queue, max_msg_size, compress=False, **dict.fromkeys(DECODE_TEXT, True))


def _parses(data: bytes) -> bool:
    """Return whether aiohttp's parser accepts what comes before a violation; if not, that is what ends a connection."""
    queue = DirectQueue(cast("Any", SimpleNamespace(_reading_paused=False)), 2**16, loop=cast("Any", None))
    make_parser(queue, 0).feed_data(data)
    return queue.exception() is None


def next_message(queue: Any) -> tuple[WSMsgType, Any, Any]:
    """Take a message that is there from aiohttp's queue, whose only way to do so is a coroutine."""
    try:
        queue.read().send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("aiohttp's queue waits although there is a message")


def _parses_ahead() -> bool:
    queue = DirectQueue(cast("Any", SimpleNamespace(_reading_paused=False)), 2**16, loop=cast("Any", None))
    seen: list[str] = []
    queue.receive, queue.left = seen.append, 2
    queue.open()
    make_parser(queue, 100).feed_data(b"\x81\x02hi\xf1\x02ho")
    return not seen


PARSES_AHEAD: Final = _parses_ahead()
"""Whether a chunk is parsed whole before its messages are fed, as in aiohttp 3.11: a violation would hide them."""
