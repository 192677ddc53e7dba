"""Frames as bytes (RFC 6455, section 5.2): of a server plain, of a client masked."""

from __future__ import annotations

import struct
from typing import Final

from aiohttp._websocket.helpers import websocket_mask

from rxws.wires.aiohttp.masks import mask

OPCODES: Final = (*range(16), 0x41, 0x42)
"""Those of RFC 6455, and those of messages with the bit RSV1, which are compressed."""
HEADER: Final = 6
"""Bytes of the header of a short frame of a client's, with its mask."""

LONE: Final = HEADER + 125
"""Bytes of the largest chunk that is one short frame of a client's."""
LONE_HEADS: Final = [None] * HEADER + [bytes((0x81, 0x80 | size)) for size in range(126)]
"""How a chunk of each length begins that is one short text frame of a client's."""
TEXT_FRAME: Final = 0x81
BINARY_FRAME: Final = 0x82
"""The first byte of a message that is one frame."""
MEDIUM_SIZE: Final = 65_535
"""Bytes of the largest frame whose length takes two bytes."""
FIRST_BYTES: Final = struct.Struct("!BBH").unpack_from
HEAD_AND_MASK: Final = struct.Struct("2s4s").unpack_from
SHORT: Final = {opcode: [bytes((0x80 | opcode, size)) for size in range(126)] for opcode in OPCODES}
MEDIUM: Final = struct.Struct("!BBH").pack
LONG: Final = struct.Struct("!BBQ").pack


def plain(opcode: int, data: bytes) -> bytes:
    """Make a frame of a server's.

    >>> plain(1, b"Hello").hex(" ")
    '81 05 48 65 6c 6c 6f'
    """
    size = len(data)
    return (SHORT[opcode][size] if size < 126 else head(opcode, size)) + data


def head(opcode: int, size: int) -> bytes:
    """Make what comes before the payload of a server's frame."""
    if size < 126:
        return SHORT[opcode][size]
    return MEDIUM(0x80 | opcode, 126, size) if size < 65536 else LONG(0x80 | opcode, 127, size)


def masked(opcode: int, data: bytes) -> bytes:
    """Make a frame of a client's, with a mask that is new for each (section 5.3)."""
    size = len(data)
    if size < 126:
        header = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        header = MEDIUM(0x80 | opcode, 254, size)
    else:
        header = LONG(0x80 | opcode, 255, size)
    key, payload = mask(), bytearray(data)
    websocket_mask(key, payload)
    return header + key + payload


def text_in(memory: bytearray, size: int) -> str | None:
    """Return the text of a chunk of `size` bytes, `LONE` at most, if it is one text frame of a client's.

    >>> text_in(bytearray.fromhex("81 85 37 fa 21 3d 7f 9f 4d 51 58"), 11)
    'Hello'
    """
    head, key = HEAD_AND_MASK(memory)
    if head != LONE_HEADS[size]:
        return None
    payload = memory[HEADER:size]
    websocket_mask(key, payload)
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None
