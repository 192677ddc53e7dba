"""Messages straight from aiohttp's parser, without the detour of its queue."""

from __future__ import annotations

import inspect
from collections.abc import Callable
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


class DirectQueue(WebSocketDataQueue):
    """aiohttp's queue, but while it is open `receive` gets the data messages, within the call that parses them.

    Anything else that comes is queued, and closes it: nothing may overtake what is queued.
    """

    __slots__ = ("is_open", "left", "receive", "weight")
    receive: Callable[[Any], object]
    """What gets the messages: the endpoint's `message_received`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.is_open = False
        self.left = 0
        """Messages that may still pass in this turn of the event loop."""
        self.weight = 0
        """Bytes on the wire of the messages that have passed, if each was one masked frame below 64 KiB; else less."""

    def open(self) -> None:
        """Let messages pass from now on."""
        self.is_open = True

    def close(self) -> None:
        """Queue what comes from now on."""
        self.is_open = False

    def feed_data(self, data: Any, size: int) -> None:
        """Hand on a message, or queue it."""
        if self.is_open and self.left and (data[0] is TEXT or data[0] is BINARY):
            self.left -= 1
            self.weight += size + 6 if size < 126 else size + 8
            self.receive(data[1])
        else:
            self.is_open = False
            super().feed_data(data, size)

    def set_exception(self, exc: BaseException, *args: Any, **kwargs: Any) -> None:
        """Keep what the peer did wrong; nothing passes any more."""
        self.is_open = False
        super().set_exception(exc, *args, **kwargs)


def make_parser(queue: WebSocketDataQueue, max_msg_size: int) -> Any:
    """Make aiohttp's parser of messages that are not compressed."""
    return cast("Any", WebSocketReader)(queue, max_msg_size, compress=False, **dict.fromkeys(DECODE_TEXT, True))


def next_message(queue: Any) -> tuple[WSMsgType, Any, Any]:
    """Take a message that is there from aiohttp's queue, whose only way to do so is a coroutine."""
    try:
        queue.read().send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("aiohttp's queue waits although there is a message")
