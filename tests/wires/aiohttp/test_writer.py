"""What the fast wire's writer takes in a turn of the event loop, and when it writes that."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rxws.core.wire import Binary, Frame
from rxws.wires.aiohttp.fast.writer import BATCH, FrameWriter, Turns

SIZE = 1000
"""Bytes of a frame on the wire."""
IN_A_WRITE = BATCH // Binary(bytes(SIZE - 4)).weight


class Transport:
    """A transport that tells its writer when it has no room left, of so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.written: list[bytes] = []
        self.writer: Any = None

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self.room -= len(data)
        self.writer.congested = self.room < 0

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        raise AssertionError


@pytest.mark.parametrize(("room", "taken"), [(10**9, 1000), (2 * SIZE, 1 + IN_A_WRITE), (SIZE // 2, 1)])
async def test_more_than_a_write(room: int, taken: int) -> None:
    """Messages of one turn leave in full writes, in order; behind a write that was too much none is taken."""
    transport: Any = Transport(room)
    endpoint: Any = object()
    writer = transport.writer = FrameWriter(transport, Turns(), masks=False)
    writer.start(endpoint, print, print)
    frames: list[Frame] = [Binary(number.to_bytes(SIZE - 4, "big")) for number in range(1000)]
    assert [writer.offer(frame) for frame in frames] == [True] * taken + [False] * (1000 - taken)
    await asyncio.sleep(0)
    assert writer.taken == []
    assert b"".join(transport.written) == b"".join(frame.packed or b"" for frame in frames[:taken])
    assert [len(data) // SIZE for data in transport.written] == [
        *[1, *[IN_A_WRITE] * ((taken - 1) // IN_A_WRITE)],
        *([left] if (left := (taken - 1) % IN_A_WRITE) else []),
    ]


async def test_messages_within_a_chunk() -> None:
    """While a chunk is being read its answers do not leave in the midst of it: what is too much is not taken."""
    transport: Any = Transport(10**9)
    endpoint: Any = object()
    writer = transport.writer = FrameWriter(transport, Turns(), masks=False)
    writer.start(endpoint, print, print)
    writer.busy = True
    offered = [writer.offer(Binary(bytes(SIZE - 4))) for _ in range(1000)]
    assert (sum(offered), transport.written) == (IN_A_WRITE, [])
