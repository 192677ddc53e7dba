"""How much of a connection is read at once, and whether any more is."""

from __future__ import annotations

import asyncio
from typing import Final

CHUNK: Final = 120 * 1024
"""Bytes read at once, into a buffer that the connections of an event loop share; copies of 128 KiB are slower.

From there on, the C library takes memory from the kernel for each.
"""

SLICE: Final = 16 * 1024
"""Bytes read at once from a peer whose messages may be tiny: parsing thousands of them would stop the event loop."""

MANY: Final = 512
"""Frames in a chunk after which the event loop gets its turn: fragments are no messages, but cost nearly as much."""

PIECE: Final = 8 * 1024 * 1024
"""Bytes of memory that glibc shall keep for the next large message, in place of giving it back to the kernel each time.

It keeps twice the largest piece of the kernel's that was freed (mallopt(3), M_MMAP_THRESHOLD).
"""


class Intake:
    """Lends the shared buffer to a transport: a slice, until its peer fills that with larger messages."""

    __slots__ = ("_slice", "_transport", "_whole", "lent", "paused")

    def __init__(self, transport: asyncio.Transport, part: memoryview, whole: memoryview) -> None:
        self.lent = part
        """What the transport may read into."""
        self.paused = False
        """Whether nothing is read, since more has come than a turn of the event loop may have."""
        self._slice = part
        self._whole = whole
        self._transport = transport

    def trust(self) -> None:
        """Lend more to a peer that has filled its slice with few frames."""
        if not self.paused:
            self.lent = self._whole

    def distrust(self) -> None:
        """Lend a peer that has sent `MANY` frames no more than a slice from now on, and that once in a turn.

        uvloop reads up to 32 times in a turn, while what it lends is filled (libuv's uv__read).
        """
        self._whole = self._slice
        self.pause()

    def pause(self) -> None:
        """Read no more until what is there is dealt with, and then less at once."""
        self.lent = self._slice
        if not self.paused:
            self.paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.paused:
            self.paused = False
            self._transport.resume_reading()
