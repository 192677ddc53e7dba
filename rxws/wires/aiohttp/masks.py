"""The masks of a client's frames (RFC 6455, section 5.3)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any, Final, cast

from aiohttp import ClientWebSocketResponse

AT_ONCE: Final = 1024
"""Masks that are made at once: to make each by itself takes four times as long."""

_made: Iterator[tuple[bytes]] = iter(())


def mask() -> bytes:
    """Make a mask that nobody can predict from those before it."""
    global _made
    for (one,) in _made:
        return one
    made = struct.iter_unpack("4s", os.urandom(4 * AT_ONCE))
    (one,) = next(made)
    _made = made
    return one


def mask_unpredictably(ws: ClientWebSocketResponse) -> None:
    """Let aiohttp's writer take these masks: its own come from a generator whose output tells what follows."""
    cast("Any", ws)._writer.get_random_bits = lambda: int.from_bytes(mask(), "big")


def _forget() -> None:
    global _made
    _made = iter(())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # or a child would use the masks of its parent
