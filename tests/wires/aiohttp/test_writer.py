"""What the fast wire's writer takes in a turn of the event loop, and when it writes that."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rxws.core.wire import Binary, Frame, Ping
from rxws.rx.loop_thread import here
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
    some: Any = object()
    writer = transport.writer = FrameWriter(transport, Turns(), masks=False)
    writer.start(some, some)
    frames: list[Frame] = [Binary(number.to_bytes(SIZE - 4, "big")) for number in range(1000)]
    assert [writer.offer(frame) for frame in frames] == [True] * taken + [False] * (1000 - taken)
    await asyncio.sleep(0)
    assert not writer.taken
    assert b"".join(transport.written) == b"".join(frame.packed or b"" for frame in frames[:taken])
    assert [len(data) // SIZE for data in transport.written] == [
        *[1, *[IN_A_WRITE] * ((taken - 1) // IN_A_WRITE)],
        *([left] if (left := (taken - 1) % IN_A_WRITE) else []),
    ]


async def test_messages_within_a_chunk() -> None:
    """While a chunk is being read its answers do not leave in the midst of it: what is too much is not taken."""
    transport: Any = Transport(10**9)
    some: Any = object()
    writer = transport.writer = FrameWriter(transport, Turns(), masks=False)
    writer.start(some, some)
    writer.busy = here()
    offered = [writer.offer(Binary(bytes(SIZE - 4))) for _ in range(1000)]
    assert (sum(offered), transport.written) == (IN_A_WRITE, [])


def reading(transport: Any) -> FrameWriter:
    """Make the writer of a connection that reads a chunk."""
    some: Any = object()
    writer = transport.writer = FrameWriter(transport, Turns(), masks=False)
    writer.start(some, some)
    writer.busy = here()
    return writer


async def test_text_of_another_thread_within_a_chunk() -> None:
    """A text of another thread is not an answer to the chunk that happens to be read."""
    writer = reading(Transport(10**9))
    for busy in (False, writer.busy):
        writer.busy = busy
        assert await asyncio.to_thread(writer.offer_text, "a") is None
    assert (writer.taken, writer.offer_text("b")) == ((), 1)


async def test_texts_within_a_chunk() -> None:
    """Texts that come of a chunk are taken without frames, and leave in order with those that have them."""
    transport: Any = Transport(10**9)
    writer = reading(transport)
    assert (writer.offer_text("a"), writer.offer(Binary(b"b")), writer.offer_text("é")) == (1, True, 2)
    writer.flush()
    assert writer.offer_text("c") == 1
    writer.flush()
    assert transport.written == [b"\x81\x01a\x82\x01b\x81\x02\xc3\xa9", b"\x81\x01c"]


async def test_text_that_comes_of_what_is_taken() -> None:
    """A text that is sent while the endpoint gives up its frames, by who looks at these, follows them."""
    transport: Any = Transport(10**9)
    writer = transport.writer = FrameWriter(transport, Turns(), masks=False)

    def take(limit: int) -> list[Frame]:
        assert writer.offer_text("b") == 1
        return [Binary(b"a")]

    writer.start(cast("Any", SimpleNamespace(take=take, more=False)), cast("Any", None))
    writer.wake()
    assert transport.written == [b"\x82\x01a", b"\x81\x01b"]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
async def test_texts_that_are_taken_back(size: int) -> None:
    """A text that was not written comes back as a frame."""
    writer, text = reading(Transport(0)), "a" * size
    assert writer.offer_text(text) == size
    assert [(one.opcode, one.data, one.message) for one in writer.withdraw()] == [(1, text.encode(), text)]


async def test_texts_that_are_refused() -> None:
    """A text is refused that is too large beside others, or cannot be sent, or before which something is to go."""
    writer = reading(Transport(0))
    assert writer.offer_text("a" * 65_536) == 65_536
    assert writer.offer_text("a" * 65_536) is None
    assert writer.offer_text("é" * 28_640) is None, "which is large only in bytes"
    assert writer.offer_text("\ud800") is None
    for which, value in (("awake", True), ("congested", True), ("busy", False)):
        writer = reading(Transport(0))
        setattr(writer, which, value)
        assert writer.offer_text("a") is None


@pytest.mark.parametrize("options", [{"masks": True}, {"masks": False, "deflate": lambda frame: frame}])
async def test_who_needs_frames(options: Any) -> None:
    """A client masks each frame, and compression takes frames: there a text has no other way."""
    assert not FrameWriter(cast("Any", Transport(0)), Turns(), **options).as_is


def burst(writers: list[FrameWriter], *messages: bytes) -> None:
    """Send messages to all writers, as a room does: each to all, then the next one."""
    for frame in map(Binary, messages):
        for writer in writers:
            assert writer.offer(frame)


async def test_bursts() -> None:
    """A burst that follows one in the last turn leaves in one write, the same bytes to all; a lone message at once."""
    transports: list[Any] = [Transport(10**9) for _ in range(3)]
    turns, some, first = Turns(), cast("Any", object()), transports[0].written
    writers = [FrameWriter(transport, turns, masks=False) for transport in transports]
    for transport, writer in zip(transports, writers, strict=True):
        transport.writer = writer
        writer.start(some, some)

    burst(writers, b"a", b"b", b"c")
    assert first == [b"\x82\x01a"]
    await asyncio.sleep(0)
    assert first == [b"\x82\x01a", b"\x82\x01b\x82\x01c"]

    burst(writers, b"d", b"e")
    assert len(first) == 2
    assert writers[2].offer(Binary(b"f"))
    await asyncio.sleep(0)
    assert first[2:] == [b"\x82\x01d\x82\x01e"]
    assert transports[1].written[2] is first[2]
    assert transports[2].written[2] == b"\x82\x01d\x82\x01e\x82\x01f"

    burst(writers, b"g")
    assert len(first) == 3
    await asyncio.sleep(0)
    assert first[3:] == [b"\x82\x01g"]

    burst(writers, b"h")
    assert first[4:] == [b"\x82\x01h"]
    assert turns.joined is None


async def test_lone_messages() -> None:
    """Turns of lone messages are counted at first, then one in four; a burst is seen by its fourth message."""
    transport: Any = Transport(10**9)
    some: Any = object()
    turns = Turns()
    writer = transport.writer = FrameWriter(transport, turns, masks=False)
    writer.start(some, some)
    for expected in (*range(1, 9), 8, 8, 8, 9, 9):
        assert writer.offer(Binary(b"a"))
        await asyncio.sleep(0)
        assert turns.number == expected
    assert len(transport.written) == 13
    burst([writer], b"b", b"c", b"d", b"e", b"f")
    assert len(transport.written) == 16
    await asyncio.sleep(0)
    assert transport.written[16:] == [b"\x82\x01e\x82\x01f"]
    burst([writer], b"g", b"h")
    await asyncio.sleep(0)
    assert transport.written[17:] == [b"\x82\x01g\x82\x01h"]


async def test_answers_of_sockets_that_take_turns() -> None:
    """Behind a turn in which one socket answered alone, three others answer at once; the next one waits, as two do."""
    transports: list[Any] = [Transport(10**9) for _ in range(6)]
    turns, some = Turns(), cast("Any", object())
    writers = [FrameWriter(transport, turns, masks=False) for transport in transports]

    def answer(*numbers: int) -> list[bool]:
        """Let sockets answer in this turn, and say which of them have done so at once."""
        before = [len(transports[number].written) for number in numbers]
        for number in numbers:
            writers[number].busy = here()
            assert writers[number].offer(Binary(b"a"))
            writers[number].busy = False
            writers[number].end_chunk(large=False)
        return [len(transports[number].written) > count for number, count in zip(numbers, before, strict=True)]

    for transport, writer in zip(transports, writers, strict=True):
        transport.writer = writer
        writer.start(some, some)
    assert answer(0) == [False]
    await asyncio.sleep(0)
    assert [answer(number) for number in (0, 1, 1, 2, 3)] == [[True]] * 5
    assert turns.number == 1
    assert answer(4) == [False]
    await asyncio.sleep(0)
    assert answer(5, 4, 3, 2, 1) == [True, True, True, False, False]
    await asyncio.sleep(0)
    assert answer(1, 2) == [False, False]
    await asyncio.sleep(0)
    assert answer(1) == [False]


async def test_what_there_is_room_for() -> None:
    """Past the endpoint goes what there is room for, and a ping with it; what is told of less room asks anew."""
    transport: Any = Transport(10**9)
    some: Any = object()
    writer = transport.writer = FrameWriter(transport, Turns(), masks=False)
    writer.start(some, some)
    frame, asked, rooms = Binary(bytes(SIZE - 4)), list[bool](), [0, 1, 2 * SIZE + 200, 0, 10 * BATCH, 0]

    def room(gathers: bool) -> int:
        asked.append(gathers)
        if gathers and len(asked) == 3:
            assert writer.offer(Ping(b"12345678"))
            writer.look_at_room()
        return rooms.pop(0)

    writer.look_at_room()  # of which nobody has spoken
    writer.stay_within(room)
    assert not writer.offer(frame)
    assert (transport.written, asked) == ([], [False])  # a message that is alone in its turn
    assert writer.offer(frame)
    assert (len(transport.written), asked) == (1, [False, False])
    assert [writer.offer(frame) for _ in range(3)] == [True, True, False]
    assert asked == [False, False, True, True]
    assert len(transport.written) == 2  # a ping and what was taken with it: there was to be room for more
    assert [writer.offer(frame) for _ in range(IN_A_WRITE)] == [True] * IN_A_WRITE
    writer.look_at_room()
    assert not writer.offer(frame)
    assert (asked[4:], rooms) == ([True, True], [])
    assert not writer.offer(Binary(bytes(BATCH)))
    await asyncio.sleep(0)
    assert b"".join(transport.written).count(b"\x89\x0812345678") == 1
    assert b"".join(transport.written).count(b"\x82\x7e") == 3 + IN_A_WRITE
    writer.detach()


async def test_no_room_beside_a_ping() -> None:
    """A message that fills a write of its own is not taken beside a ping; the endpoint has it then."""
    transport: Any = Transport(10**9)
    some: Any = object()
    writer = transport.writer = FrameWriter(transport, Turns(), masks=False)
    writer.start(some, some)
    writer.stay_within(lambda gathers: writer.offer(Ping(b"12345678")) and BATCH)
    writer.waits = True
    assert not writer.offer(Binary(bytes(BATCH - 64)))
    assert [type(frame) for frame in writer.taken] == [Ping]
    writer.detach()
