"""What the processes of one application tell each other: memory that they share, with a place for each."""

from __future__ import annotations

import mmap
import struct
import zlib
from typing import Final

PLACE: Final = 1 << 16
"""Bytes of one text; each place keeps the last two, so that one is whole whenever its process dies."""
HEAD: Final = struct.Struct("<II")
TRIES: Final = 5


class Board:
    """Shared by the processes that are forked after it was made; `own` is the place of each.

    Memory: 128 KiB for each place, as far as it is used.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self.own = 0
        self.before = b""
        """What the process said that had the own place before."""
        self._memory = mmap.mmap(-1, places * 2 * PLACE)
        self._last = [b""] * places

    def take(self, place: int) -> None:
        """Make a place the own one."""
        self.own, self.before = place, self.read(place)

    def write(self, text: bytes) -> bool:
        """Put a text in the own place; return whether it has room there."""
        if len(text) > PLACE - HEAD.size - 1:
            return False
        valid = self.own * 2 * PLACE  # the byte that says which of the two is
        other = 1 - self._memory[valid]
        start = valid + other * PLACE + 1
        self._memory[start : start + HEAD.size + len(text)] = HEAD.pack(len(text), zlib.crc32(text)) + text
        self._memory[valid] = other
        return True

    def read(self, place: int) -> bytes:
        """Give the last text of a place; nothing if there was none."""
        for _ in range(TRIES):  # its process may write twice meanwhile
            start = (place * 2 + self._memory[place * 2 * PLACE]) * PLACE + 1
            length, checksum = HEAD.unpack(self._memory[start : start + HEAD.size])
            text = self._memory[start + HEAD.size : start + HEAD.size + min(length, PLACE)]
            if zlib.crc32(text) == checksum:
                self._last[place] = text
                break
        return self._last[place]
