"""Messages that are too big, or never whole."""

import asyncio
import os
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest

import rxws
from tests.faults.measures import growing
from tests.faults.peers import Listening, listening
from tests.integration.raw import BINARY, CONTINUATION, PING, PONG, TEXT, Raw, frame, raw
from tests.integration.server import serving
from tests.streams import ended

BOTH_LOOPS = True
Eventually = Callable[..., Any]
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
MIB = 1024 * 1024


def echo(incoming: Any) -> Any:
    return incoming


def bomb(size: int) -> bytes:
    """Compress zeros, without holding them."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = b"".join([*(deflate.compress(bytes(MIB)) for _ in range(16)), deflate.flush(zlib.Z_FULL_FLUSH)])
    return (block * (size // MIB // 16))[:-4]


async def test_compression_bomb_is_1009() -> None:
    """A megabyte that decompresses to a gigabyte closes with 1009, and memory is bounded."""
    message = bomb(1024 * MIB)
    assert len(message) < MIB, "within max_msg_size on the wire"
    async with serving(rxws.websocket(compress=True)(echo)) as server, raw(server.port, headers=DEFLATE) as peer:
        growth = growing()
        peer.send(BINARY, message, rsv=0x40)
        assert (await peer.receive_close())[0] == 1009
        assert growth() < 30 * MIB


async def test_huge_frame_is_1009_unbuffered() -> None:
    """A frame of a gigabyte closes with 1009 as soon as its length is told, and nothing is buffered."""
    async with serving(rxws.websocket(echo)) as server, raw(server.port) as peer:
        chunk = bytes(64 * 1024)
        growth = growing()
        peer.writer.write(struct.pack("!BBQ", 0x82, 0xFF, 2**30) + os.urandom(4))

        async def push() -> None:
            for _ in range(2**30 // len(chunk)):
                peer.writer.write(chunk)
                await peer.writer.drain()

        pushing = asyncio.create_task(push())
        assert (await peer.receive_close())[0] == 1009
        assert growth() < 20 * MIB
        pushing.cancel()
        await asyncio.wait({pushing})


async def test_huge_fragmented_message_is_1009() -> None:
    """A gigabyte in fragments closes with 1009 at `max_msg_size`, and memory is bounded."""
    async with serving(rxws.websocket(echo)) as server, raw(server.port) as peer:
        growth = growing()
        fragment = frame(CONTINUATION, bytes(64 * 1024), fin=False)
        peer.send(BINARY, b"begin", fin=False)

        async def push() -> None:
            for _ in range(2**30 // len(fragment)):
                peer.writer.write(fragment)
                await peer.writer.drain()

        pushing = asyncio.create_task(push())
        assert (await peer.receive_close())[0] == 1009
        assert growth() < 20 * MIB
        pushing.cancel()
        await asyncio.wait({pushing})


@pytest.mark.parametrize("exponent", [40, 62])
async def test_huge_declared_length_is_1009_unbuffered(exponent: int) -> None:
    """A declared length of 2**40 closes with 1009 when its header arrives, and nothing is buffered."""
    async with serving(rxws.websocket(echo)) as server, raw(server.port) as peer:
        tracemalloc.start()
        try:
            peer.writer.write(struct.pack("!BBQ", 0x81, 0xFF, 2**exponent) + b"mask" + b"first bytes")
            assert (await peer.receive_close())[0] == 1009
            assert tracemalloc.get_traced_memory()[1] < MIB
        finally:
            tracemalloc.stop()


# A message that is never whole


async def fragments(peer: Raw) -> None:
    """Empty ones, for ever."""
    peer.send(TEXT, b"begin", fin=False)
    while True:
        peer.send(CONTINUATION, fin=False)
        await asyncio.sleep(0.02)


async def payload(peer: Raw) -> None:
    """A byte now and then."""
    peer.writer.write(b"\x81\xfe\x03\xe8mask")
    while True:
        peer.writer.write(b"x")
        await asyncio.sleep(0.02)


async def header(peer: Raw) -> None:
    """A byte now and then, of a length of eight."""
    for byte in b"\x81\xff\x00\x00\x00\x00\x00\x00\x03\xe8mask":
        peer.writer.write(bytes([byte]))
        await asyncio.sleep(0.1)


async def silence_within(peer: Raw) -> None:
    """A whole message and the beginning of one, in one segment; then nothing."""
    peer.writer.write(frame(TEXT, b"whole") + frame(TEXT, b"begin", fin=False))
    await asyncio.sleep(60)


async def pings_within(peer: Raw) -> None:
    """A fragment, then nothing but pings."""
    peer.send(TEXT, b"begin", fin=False)
    while True:
        peer.send(PING, b"alive")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "dribble", [fragments, payload, header, silence_within, pings_within], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("compress", [False, True])
async def test_unfinished_message_is_1008(dribble: Any, compress: bool) -> None:
    """A message that is never finished closes with 1008 at the deadline."""
    errors: list[Exception] = []

    @rxws.websocket(message_timeout=0.2, compress=compress)
    def handler(incoming: Any, errors: Any) -> Any:
        errors.subscribe(seen.append)
        return incoming

    seen = errors
    async with serving(handler) as server, raw(server.port, headers=DEFLATE if compress else "") as peer:
        began = time.monotonic()
        dribbling = asyncio.create_task(dribble(peer))
        assert await peer.receive_close() == (1008, "Message Unfinished")
        assert 0.15 < time.monotonic() - began < 4
        dribbling.cancel()
        await asyncio.wait({dribbling})
        peer.writer.close()
        assert (await ended(server.sockets[0])).code == 1008
    assert [str(error) for error in errors] == ["a message took more than 0.2 s"]


async def test_unfinished_message_and_ignored_close() -> None:
    """A peer that neither finishes its message nor answers our close is dropped at the deadline."""
    handler = rxws.websocket(message_timeout=0.2, close_timeout=0.2)(echo)
    async with serving(handler) as server, raw(server.port) as peer:
        dribbling = asyncio.create_task(fragments(peer))
        assert (await peer.receive_close())[0] == 1008
        assert (await ended(server.sockets[0], 2)).code == 1008
        dribbling.cancel()
        await asyncio.wait({dribbling})


async def test_no_message_timeout_waits() -> None:
    """Without a message timeout, a message that takes its time arrives."""
    handler = rxws.websocket(message_timeout=None, max_msg_size=None)(echo)
    async with serving(handler) as server, raw(server.port) as peer:
        peer.send(TEXT, b"be", fin=False)
        await asyncio.sleep(0.5)
        peer.send(CONTINUATION, b"gin")
        assert await peer.receive() == (TEXT, b"begin")


@pytest.mark.parametrize("cut", ["in one frame", "in fragments"])
async def test_slow_honest_upload_arrives(cut: str) -> None:
    """A slow upload of `max_msg_size` that takes longer than two heartbeats arrives."""
    size, pieces = 20_000, 20
    handler = rxws.websocket(heartbeat=0.2, message_timeout=5, max_msg_size=size)(echo)
    async with serving(handler) as server, raw(server.port) as peer:
        if cut == "in one frame":
            whole = frame(BINARY, bytes(size))
            parts = [whole[at : at + 1001] for at in range(0, len(whole), 1001)]
        else:
            parts = [
                frame(CONTINUATION if at else BINARY, bytes(size // pieces), fin=at == pieces - 1)
                for at in range(pieces)
            ]
        began = time.monotonic()
        for part in parts:
            peer.writer.write(part)
            await asyncio.sleep(0.03)
        while (got := await asyncio.wait_for(peer.receive(), 5))[0] == PING:
            peer.send(PONG, got[1])
        assert got == (BINARY, bytes(size))
        assert time.monotonic() - began > 0.5


async def test_held_peer_is_not_blamed(eventually: Eventually) -> None:
    """A peer that a hold keeps from sending is not blamed when the deadline passes."""
    gate = asyncio.Event()

    @rxws.websocket(message_timeout=0.3, heartbeat=None)
    async def handler(socket: Any) -> None:
        await gate.wait()
        async for _ in socket:
            pass

    async with serving(handler) as server, raw(server.port) as peer:
        for _ in range(300):
            peer.send(BINARY, bytes(9_999))
        peer.writer.write(frame(BINARY, bytes(9_999))[:-1])
        await asyncio.sleep(0.6)
        gate.set()
        await eventually(lambda: server.sockets[0].stats.received == 300, 10)
        assert await peer.receive_close() == (1008, "Message Unfinished")


@pytest.mark.parametrize("with_handshake", [b"", b"\x81\x05whole\x01\x03par", b"\x01", b"\x81\x02hi\x01\x02pa"])
async def test_client_closes_unfinished_message_with_1008(with_handshake: bytes) -> None:
    """A client closes with 1008 at the deadline when a server's message is never finished."""
    codes: list[tuple[int, bytes]] = []

    async def never(peer: Listening) -> None:
        if not with_handshake:
            peer.writer.write(b"\x01\x02pa")
        codes.append(await peer.receive())

    async with (
        listening(never, with_handshake=with_handshake) as url,
        rxws.connect(url, message_timeout=0.3, close_timeout=1) as client,
    ):
        client.errors.subscribe()
        assert (await ended(client, 3)).code == 1008
    assert codes == [(8, struct.pack("!H", 1008) + b"Message Unfinished")]


@pytest.mark.parametrize("split", range(1, 9))
async def test_client_takes_frames_with_the_handshake(split: int) -> None:
    """A client takes whole frames that come with the handshake."""
    frames = b"\x81\x02hi\x81\x02ho"

    async def rest(peer: Listening) -> None:
        peer.writer.write(frames[split:])
        await asyncio.sleep(0.3)
        peer.writer.write(b"\x81\x03end\x88\x02\x03\xe8")
        await peer.receive()

    seen: list[Any] = []
    async with (
        listening(rest, with_handshake=frames[:split]) as url,
        rxws.connect(url, message_timeout=0.2) as client,
    ):
        client.incoming.subscribe(seen.append)
        assert await ended(client) == rxws.Close()
    assert seen == ["hi", "ho", "end"]
