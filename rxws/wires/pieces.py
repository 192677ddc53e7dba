"""Memory for large messages, which the C library else takes from the kernel for each of them."""

from __future__ import annotations

from functools import cache
from typing import Final

PIECE: Final = 8 * 1024 * 1024
"""Bytes of memory that glibc shall keep for the next large message, in place of giving it back to the kernel each time.

It keeps twice the largest piece of the kernel's that was freed (mallopt(3), M_MMAP_THRESHOLD).
"""


@cache  # since clearing 8 MiB again, for each first socket of an event loop, would change nothing
def keep_pieces() -> None:
    """Have glibc keep what is freed from now on, in this process: a piece is made and freed, once."""
    bytes(PIECE)
