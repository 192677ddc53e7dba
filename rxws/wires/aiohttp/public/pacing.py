"""How fast the public wire lets aiohttp parse, which inflates all that it is given at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from rxws.wires.aiohttp.header_watch import HeaderWatch
from rxws.wires.aiohttp.inside import AnyWebSocket, parsed_in, protocol_of, transport_of
from rxws.wires.pieces import keep_pieces

READ_SIZE: Final = 64 * 1024
"""Bytes that asyncio's transport reads at once, and that may wait here to be parsed; uvloop reads up to 256 KiB."""

SHARE: Final = 256 * 1024
"""Bytes of messages, as they are when inflated, after which others have their turn."""

FRAMES_A_TURN: Final = 64
"""Frames after which others have their turn."""

FRAME_SHARE: Final = SHARE // FRAMES_A_TURN
"""What a frame counts besides its bytes."""

PARSED_AT_ONCE: Final = 4096
"""Bytes parsed at once, besides the rest of a frame: a few hundred frames."""

INFLATED_AT_ONCE: Final = 1024
"""The same where frames may be compressed: it inflates to a megabyte at most (the limit of RFC 1951)."""

_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, TurnQueue] = WeakKeyDictionary()


class TurnQueue:
    """Gives connections that have had their share a turn each, one in a turn of the event loop."""

    def __init__(self) -> None:
        self._waiting = deque[Callable[[], object]]()

    def ask(self, begin: Callable[[], object]) -> None:
        """Call `begin` when all that have asked before have had their turn."""
        self._waiting.append(begin)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        begin = self._waiting.popleft()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
        begin()


class Pacing:
    """Stands before a `HeaderWatch`, and feeds it a slice when all that was parsed before is taken.

    What others have to wait for is the largest message that is allowed, or a `SHARE` if that is more, however many
    connections there are; nothing is read while anything waits to be parsed.

    Memory: a chunk of what the transport reads, and what a slice inflates to.
    """

    def __init__(self, ws: AnyWebSocket, watch: HeaderWatch) -> None:
        self.watch = watch
        """What it stands before."""
        self._transport = transport_of(ws)
        if hasattr(self._transport, "max_size"):
            cast("Any", self._transport).max_size = READ_SIZE
        self._protocol = protocol_of(ws)
        self._parsed = parsed_in(ws)
        loop = asyncio.get_running_loop()
        if loop not in _queues:
            keep_pieces()
            _queues[loop] = TurnQueue()
        self._turns = _queues[loop]
        self._slice = INFLATED_AT_ONCE if ws.compress else PARSED_AT_ONCE
        self._chunk = b""
        self._at = 0  # how much of it is parsed
        self._spent = 0  # of a share
        self._resting = False  # until its turn
        self._stopped = False  # reading, since something waits to be parsed
        self._ended = False

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Parse a slice of a chunk; the rest follows."""
        self._chunk, self._at = self._chunk[self._at :] + data, 0
        self._parse()
        return False, b""

    def feed_eof(self) -> None:
        """Parse the end, behind what waits to be parsed."""
        self._ended = True
        self._parse()

    async def took(self, size: int) -> None:
        """Count what was taken; now and then others have their turn."""
        self._spent += size + FRAME_SHARE
        if self._spent >= SHARE:
            turn = asyncio.get_running_loop().create_future()
            self._rest(lambda: turn.done() or turn.set_result(None))
            self._read_on()
            await turn
        if self._stopped or self._ended:
            self._parse()

    def forget(self) -> None:
        """Drop what waits to be parsed, and stop waiting until anything is taken."""
        self._chunk, self._at, self._parsed = b"", 0, ()
        self._parse()

    def _rest(self, then: Callable[[], object]) -> None:
        def go_on() -> None:
            self._resting, self._spent = False, 0
            then()

        self._resting = True
        self._turns.ask(go_on)

    def _parse(self) -> None:
        """Parse until there is something to take, or a share is spent on frames that are not messages."""
        watch, size = self.watch, len(self._chunk)
        while self._at < size and not (self._parsed or self._resting):
            end = self._at + max(self._slice, watch.left)
            part, self._at, messages = self._chunk[self._at : end], end, watch.messages
            watch.feed_data(part)
            self._spent += (watch.frames - (watch.messages - messages)) * FRAME_SHARE
            if self._spent >= SHARE and not self._parsed:
                self._rest(self._parse)
        if self._at >= size and self._ended:
            self._ended = False
            watch.feed_eof()
        self._read_on()

    def _read_on(self) -> None:
        """Read while nothing waits to be parsed: aiohttp reads on, too, when a message is taken."""
        if self._at < len(self._chunk):
            self._stopped = True
            if not self._transport.is_closing():
                self._transport.pause_reading()
        elif self._stopped:
            self._stopped = False
            if not (self._protocol._reading_paused or self._transport.is_closing()):
                self._transport.resume_reading()
