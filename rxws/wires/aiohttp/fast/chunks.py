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

PINCH: Final = 2 * 1024
"""Bytes read at once from a peer whose messages are tiny: few wait in a queue that Python's collector would walk."""

MESSAGES_A_TURN: Final = 256
"""Messages after which the event loop's other business gets its turn."""

INFLATED_A_TURN: Final = 256 * 1024
"""Bytes that messages are inflated to after which the same holds."""

MANY: Final = 512
"""Frames in a chunk after which less is read at once: fragments are not messages, but cost nearly as much."""

FEW: Final = 16
"""Frames in a chunk after which the peer has to wait for its next turn, if more has come, on uvloop.

It reads up to 32 times in a turn, while what it lends is filled (libuv's uv__read). asyncio's own loops read once.
"""

MESSAGES_LENT: Final = 192
"""Messages for which there is room in what is read at once, by the size of those that came: less than of a turn."""


class SharedBuffer:
    """The buffer that the connections of an event loop share, as it is lent to a peer that has not filled it yet."""

    paused = False

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.memory = bytearray(CHUNK)
        """What it lends from the beginning of."""
        self.whole = memoryview(self.memory)
        self.lent = self.whole[:SLICE]
        """What a transport may read into."""
        self.fills = not isinstance(loop, asyncio.BaseEventLoop)
        """Whether a transport fills it again in the same turn."""


class ReadBuffer:
    """Lends the shared buffer to a transport: a slice, or more of it to a peer that fills that with larger messages.

    A peer that fills it with tiny ones gets a pinch, and never more than a slice again.
    """

    __slots__ = ("_fills", "_slice", "_transport", "_whole", "lent", "memory", "paused")

    def __init__(self, transport: asyncio.Transport, shared: SharedBuffer) -> None:
        self.lent = shared.lent
        """What the transport may read into."""
        self.paused = False
        """Whether nothing is read, since more has come than a turn of the event loop may have."""
        self.memory = shared.memory
        """What it lends from the beginning of."""
        self._slice = shared.lent
        self._whole = shared.whole
        self._transport = transport
        self._fills = shared.fills

    def filled(self, frames: int) -> None:
        """Adapt what is lent to a peer next time: it has filled the last buffer with `frames` frames."""
        if frames > MANY:
            self._whole, self._slice = self._whole[:SLICE], self._slice[:PINCH]
            self.pause()
        elif not self.paused:
            size = MESSAGES_LENT * (len(self.lent) // max(frames, 1))
            self.lent = self._whole[:size] if size > len(self._slice) else self._slice
            if frames > FEW and self._fills:
                self._stop()

    def pause(self) -> None:
        """Stop reading until what is there is dealt with, and then read less at once."""
        self.lent = self._slice
        self._stop()

    def resume(self) -> None:
        """Read on."""
        self.paused = False
        self._transport.resume_reading()

    def _stop(self) -> None:
        if not self.paused:
            self.paused = True
            self._transport.pause_reading()
