"""The writing half of the fast wire: what the endpoint has leaves in few writes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from rxws.aiohttp_wire import framing
from rxws.aiohttp_wire.turns import Turns
from rxws.closing import Close
from rxws.wire import Frame

BATCH: Final = 64 * 1024
"""Bytes that leave in one write, at least; a larger frame leaves without being copied."""

PONGS: Final = 256
"""Pongs that wait; a peer that sends more pings than it reads pongs misses the oldest."""

CLOSE, PONG = 8, 10
Take = Callable[[], Frame | Close | None]


class Outlet:
    """Writes frames to a transport: the first one at once, what follows in the same turn of the event loop together."""

    def __init__(self, transport: asyncio.Transport, turns: Turns, *, masks: bool) -> None:
        self.congested = False
        """Whether the kernel has refused bytes."""
        self.busy = False
        """Whether a chunk is being read, whose answers are to leave together."""
        self.closing = False
        """Whether our close frame is written."""
        self.pongs: deque[bytes] = deque(maxlen=PONGS)
        self.awake = False
        """Whether the endpoint has something to write."""
        self._take: Take | None = None
        self._on_close: Callable[[], object] = transport.close
        self._wrote = False  # in this turn of the event loop
        self._transport = transport
        self._turns = turns
        self._masks = masks
        self._pack = framing.masked if masks else framing.plain

    def start(self, take: Take, on_close: Callable[[], object]) -> None:
        """Begin; `on_close` is called when our close frame is written."""
        self._take = take
        self._on_close = on_close

    def wake(self) -> None:
        """Write at once, but once in a turn of the event loop; within a chunk when it is done."""
        self.awake = True
        if not (self.busy or self._wrote or self.congested or self._take is None):
            self.flush()
            self._wrote = True
            self._turns.wrote(self)

    def write_soon(self) -> None:
        """Write when the turn ends, as all do that have read in it: the peers' process then wakes up once."""
        self.awake = True
        if not self._wrote:
            self._wrote = True
            self._turns.wrote(self)

    def turn_ended(self) -> None:
        """Write what has come since the first write of this turn."""
        self._wrote = False
        if self.awake:
            self.flush()

    def flush(self) -> None:
        """Write all that the transport takes."""
        self.awake = False
        take = self._take
        if take is None or self._transport.is_closing():  # uvloop's raises then, where asyncio's does nothing
            return
        pieces: list[bytes] = []
        size = 0
        while not (self.congested or self.closing):
            if self.pongs:
                packed = self._pack(PONG, self.pongs.popleft())
            elif (frame := take()) is None:
                break
            elif isinstance(frame, Close):
                self.closing = True
                packed = self._pack(CLOSE, frame.code.to_bytes(2, "big") + frame.reason.encode())
            elif self._masks:
                packed = self._pack(frame.opcode, frame.data)
            elif (packed := frame.packed) is None:
                packed = frame.packed = self._pack(frame.opcode, frame.data)
            pieces.append(packed)
            size += len(packed)
            if size >= BATCH:
                self._write(pieces)
                size = 0
        if pieces:
            self._write(pieces)
        if self.closing and not self._transport.is_closing():
            self._on_close()

    def _write(self, pieces: list[bytes]) -> None:
        if not self._transport.is_closing():
            self._transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        pieces.clear()
