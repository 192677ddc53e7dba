"""How fast the public wire lets aiohttp read."""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from rxws.wires.aiohttp.header_watch import HeaderWatch
from rxws.wires.aiohttp.inside import AnyWebSocket, keep_little, protocol_of, transport_of

READ_SIZE: Final = 64 * 1024
"""Bytes that asyncio's transport reads at once: four times as many fragments of nothing would stop the event loop."""

FRAMES_A_TURN: Final = 64
"""Messages after which the event loop's other business gets its turn."""


class Pacing:
    """Stops reading for a turn when a chunk had many frames, and while many messages wait to be taken."""

    def __init__(self, ws: AnyWebSocket, watch: HeaderWatch) -> None:
        self._ws = ws
        self._watch = watch
        self._transport = transport_of(ws)
        if hasattr(self._transport, "max_size"):
            cast("Any", self._transport).max_size = READ_SIZE
        self._protocol = protocol_of(ws)
        self._taken = 0
        self._resting = False

    def start(self) -> None:
        """Begin to look at what comes."""
        self._watch.on_many = self._rest

    async def took(self) -> None:
        """Count a frame that was taken; now and then others have their turn."""
        self._taken += 1
        self._read_on()
        if self._taken % FRAMES_A_TURN == 0:
            await asyncio.sleep(0)

    def forget(self) -> None:
        """Take all that waits for taken."""
        self._taken = self._watch.messages
        self._read_on()

    def _rest(self) -> None:
        """Read no more in this turn: empty messages may weigh nothing in aiohttp's queue."""
        if not self._transport.is_closing():
            keep_little(self._ws)  # uvloop reads up to 256 KiB at once
            self._resting = True
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        if self._resting and self._watch.messages - self._taken < FRAMES_A_TURN and not self._transport.is_closing():
            self._resting = False
            if not self._protocol._reading_paused:
                self._transport.resume_reading()
