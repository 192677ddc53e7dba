"""How many bytes are read from a connection at once, and when reading pauses."""

from __future__ import annotations

import asyncio
from typing import Final

CHUNK: Final = 120 * 1024
"""Bytes read at once at most, into a buffer that all connections of an event loop share.

Copies of 128 KiB or more would be slower: the C library then gets the memory of each from the kernel.
"""

SLICE: Final = 16 * 1024
"""Bytes read at once from a peer whose messages may be tiny: parsing thousands of them would block the event loop."""

PINCH: Final = 2 * 1024
"""Bytes read at once from a peer whose messages are tiny: few wait in a queue that Python's collector would walk."""

MESSAGES_A_TURN: Final = 256
"""Messages from one peer in one turn of the event loop; then other work gets its turn."""

INFLATED_A_TURN: Final = 256 * 1024
"""Bytes that one peer's compressed messages may have when inflated, in one turn of the event loop."""

MANY_FRAMES: Final = 512
"""If one read brings more frames, less is read at once. Fragments are not messages, but cost nearly as much."""

FEW_FRAMES: Final = 16
"""If one read brings more frames and fills the buffer, the peer waits for its next turn. This is for uvloop alone.

uvloop reads up to 32 times in a turn, as long as each read fills the buffer (libuv's uv__read). asyncio reads once.
"""

MESSAGES_LENT: Final = 192
"""Messages that one read should bring, judged by the size of the last ones: fewer than `MESSAGES_A_TURN`."""


class SharedBuffer:
    """The buffer that all connections of an event loop share, and the slice for a peer that has not filled it yet.

    Memory: `CHUNK` bytes for each event loop.
    """

    paused = False

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.memory = bytearray(CHUNK)
        """The memory of the buffer; `lent` is its beginning."""
        self.whole = memoryview(self.memory)
        self.lent = self.whole[:SLICE]
        """The slice that a transport may read into."""
        self.fills = not isinstance(loop, asyncio.BaseEventLoop)
        """Whether a transport may fill it several times in one turn."""


class ReadBuffer:
    """Lends the shared buffer to a transport: `SLICE` bytes, or more if the peer fills that with larger messages.

    A peer that fills it with tiny messages gets `PINCH` bytes, and never more than `SLICE` again.
    """

    __slots__ = ("_fills", "_slice", "_transport", "_whole", "lent", "memory", "paused")

    def __init__(self, transport: asyncio.Transport, shared: SharedBuffer) -> None:
        self.lent = shared.lent
        """The slice that the transport may read into."""
        self.paused = False
        """Whether reading is paused: more has come than one turn of the event loop may handle."""
        self.memory = shared.memory
        """The memory of the shared buffer; `lent` is its beginning."""
        self._slice = shared.lent
        self._whole = shared.whole
        self._transport = transport
        self._fills = shared.fills

    def filled(self, frames: int) -> None:
        """Adapt the size of the next read: the peer has filled the last one with `frames` frames."""
        if frames > MANY_FRAMES:
            self._whole, self._slice = self._whole[:SLICE], self._slice[:PINCH]
            self.pause()
        elif not self.paused:
            size = MESSAGES_LENT * (len(self.lent) // max(frames, 1))
            self.lent = self._whole[:size] if size > len(self._slice) else self._slice
            if frames > FEW_FRAMES and self._fills:
                self._stop()

    def pause(self) -> None:
        """Stop reading until the frames that came are handled, and then read less at once."""
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
