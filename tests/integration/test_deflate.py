"""Compressed sockets: what they share, count, bound and keep; `tests/conformance/test_compression.py` has the RFC."""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from reactivex import operators as ops

import rxws
from rxws.wires.deflate import SharedDeflater
from tests.conformance.peers import DEFLATE, Role, answering, asking, echo, meeting, request, upgrade
from tests.conformance.test_compression import TAIL, TEXTS, Squeeze, expand, said_in
from tests.fuzzing.frames import BINARY, CONTINUATION, PONG, TEXT
from tests.integration.server import serving
from tests.streams import ended, watch

BOTH_LOOPS = True
both = pytest.mark.parametrize("role", ["server", "client"])
Eventually = Callable[..., Any]
FORGETS = f"{DEFLATE}; server_no_context_takeover; client_no_context_takeover"
LONG = TEXTS[0]
NOISE = random.Random(1).randbytes(10_000)


def by_a_peer(data: bytes) -> bytes:
    """Compress a message as nobody here does."""
    squeeze = Squeeze()
    return squeeze(data[:50]) + TAIL + squeeze(data[50:])


@pytest.fixture
def compressions(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """List what is compressed for all."""
    seen: list[bytes] = []
    compress = SharedDeflater._compress

    def counting(self: SharedDeflater, data: bytes) -> bytes:
        seen.append(data)
        return compress(self, data)

    monkeypatch.setattr(SharedDeflater, "_compress", counting)
    return seen


async def test_a_room_compresses_once(compressions: list[bytes], eventually: Eventually) -> None:
    """Members that are compressed get one frame, and sit beside some that are not."""
    rooms = rxws.Rooms[str]()
    handler = rxws.websocket(compress=True)(lambda: rooms["all"])
    ask = request(also=f"Sec-WebSocket-Extensions: {DEFLATE}")
    async with (
        serving(handler) as server,
        asking(server, ask) as one,
        asking(server, ask) as two,
        asking(server, request()) as plain,
    ):
        await eventually(lambda: len(rooms["all"].observers) == 3)
        for text in TEXTS:
            rooms["all"].on_next(text)
        for text in TEXTS:
            first, second, third = await one.hear(), await two.hear(), await plain.hear()
            assert (first.first, first.data) == (second.first, second.data)
            assert (expand(first.data), third.first, third.data) == (text.encode(), 0x81, text.encode())
    assert compressions == [text.encode() for text in TEXTS]


@both
@pytest.mark.parametrize("codec", [rxws.codecs.text, rxws.json])
async def test_what_comes_is_sent_on(role: Role, codec: Any, compressions: list[bytes]) -> None:
    """A message that came compressed goes out as it came, without work; one that an operator changes does not."""

    def some(incoming: Any) -> Any:
        return incoming.pipe(ops.map(lambda message: [message[0]] if len(message) > 1 else message))

    texts = [json.dumps(["the same words again " * 10 + str(number)]) for number in range(5)]
    packed = [by_a_peer(text.encode()) for text in texts]
    async with meeting(role, some if codec is rxws.json else echo, extension=FORGETS, codec=codec) as (socket, peer):
        for one in packed:
            peer.say(TEXT, one, rsv=0x40)
        heard = [await peer.hear() for _ in texts]
        assert [(frame.first, frame.data) for frame in heard] == [(0xC1, one) for one in packed]
        assert compressions == []
        stats = socket.stats
        assert stats.sent_wire_bytes == stats.received_wire_bytes == sum(map(len, packed))
        if codec is rxws.json:
            peer.say(TEXT, by_a_peer(f"[{texts[0][1:-1]}, 1]".encode()), rsv=0x40)
            assert expand((await peer.hear()).data) == texts[0].encode()
            assert compressions == [texts[0].encode()]


async def test_messages_of_several_frames(compressions: list[bytes], eventually: Eventually) -> None:
    """Each frame of a message is compressed once for all, if its codec is pure, and sockets share it."""

    class Twice:
        pure = True

        def messages(self, data: str | bytes) -> list[str | bytes]:
            return [data]

        def frames(self, message: str) -> list[str | bytes]:
            return [message, message.upper().encode()]

    rooms = rxws.Rooms[str]()
    ask = request(also=f"Sec-WebSocket-Extensions: {DEFLATE}")
    async with (
        serving(rxws.websocket(compress=True, codec=Twice())(lambda: rooms["all"])) as server,
        asking(server, ask) as one,
        asking(server, ask) as two,
    ):
        await eventually(lambda: len(rooms["all"].observers) == 2)
        for text in TEXTS:
            rooms["all"].on_next(text)
        for text in TEXTS:
            for peer in (one, two):
                frames = [await peer.hear(), await peer.hear()]
                assert [frame.first for frame in frames] == [0xC1, 0xC2]
                assert [expand(frame.data) for frame in frames] == [text.encode(), text.upper().encode()]
    assert compressions == [data for text in TEXTS for data in (text.encode(), text.upper().encode())]


async def test_strangers_in_a_room(compressions: list[bytes], eventually: Eventually) -> None:
    """Members get what another one has compressed, unless it has a last block, is larger, or needs a larger window."""
    rooms = rxws.Rooms[str]()
    small = rxws.Deflate(outgoing_window_bits=12)

    def room(incoming: Any) -> Any:
        incoming.subscribe(rooms["all"])
        return rooms["all"]

    last = zlib.compressobj(wbits=-15)
    final = last.compress(LONG.encode()) + last.flush()
    padded = Squeeze()(LONG.encode()) + (TAIL + b"\x00") * 100
    async with (
        serving(rxws.websocket(compress=True)(room)) as server,
        serving(rxws.websocket(compress=small)(lambda: rooms["all"])) as other,
        asking(server, request(also=f"Sec-WebSocket-Extensions: {DEFLATE}")) as one,
        asking(server, request(also=f"Sec-WebSocket-Extensions: {DEFLATE}")) as two,
        asking(server, request()) as plain,
        asking(other, request(also=f"Sec-WebSocket-Extensions: {DEFLATE}; server_max_window_bits=12")) as narrow,
    ):
        await eventually(lambda: len(rooms["all"].observers) == 4)
        for data, as_it_came in ((by_a_peer(LONG.encode()), True), (final, False), (padded, False)):
            one.say(TEXT, data, rsv=0x40)
            first, second, third, fourth = [await peer.hear() for peer in (one, two, plain, narrow)]
            assert (first.data == data, second.data) == (as_it_came, first.data)
            assert third.data == LONG.encode()
            inflate = zlib.decompressobj(-15)
            assert (expand(first.data, inflate=inflate), inflate.eof) == (LONG.encode(), False)
            assert (expand(fourth.data, 12), fourth.data == data) == (LONG.encode(), False)
    assert len(compressions) == 5, "one for the small window each, and one for those not fit"


@both
async def test_counts(role: Role) -> None:
    """`stats` tell the bytes of messages as they are, and as they were on the wire."""
    async with meeting(role, extension=FORGETS) as (socket, peer):
        data = Squeeze()(LONG.encode())
        peer.say(TEXT, data, rsv=0x40)
        peer.say(TEXT, b"short")
        sent = [await peer.hear(), await peer.hear()]
        stats = socket.stats
    assert (stats.received_bytes, stats.received_wire_bytes) == (len(LONG) + 5, len(data) + 5)
    assert (stats.sent_bytes, stats.sent_wire_bytes) == (len(LONG) + 5, sum(len(one.data) for one in sent))
    assert stats.sent_wire_bytes < len(LONG) // 2


async def test_the_hub_counts(eventually: Eventually) -> None:
    """A hub adds them up, those of closed sockets too."""
    async with serving(rxws.websocket(compress=True)(echo)) as server:
        async with rxws.connect(server.url, compress=True) as socket:
            assert await socket.request(LONG, matches=lambda _: True) == LONG
            ours = socket.stats
        assert server.hub is not None
        hub = server.hub
        await eventually(lambda: len(hub) == 0)
        assert (hub.stats.received_bytes, hub.stats.sent_bytes) == (len(LONG), len(LONG))
        assert hub.stats.received_wire_bytes == ours.sent_wire_bytes < len(LONG) // 2
        assert hub.stats.sent_wire_bytes == ours.received_wire_bytes < len(LONG) // 2


@both
async def test_marked_messages(role: Role) -> None:
    """What is marked goes as it is, of text and of bytes, and from a codec."""

    class Careful(rxws.codecs.TextCodec):
        def encode(self, message: Any, /) -> str | bytes:
            return rxws.codecs.uncompressed(message) if "secret" in message else message

    async with meeting(role, extension=FORGETS) as (socket, peer):
        for message in (rxws.codecs.uncompressed(LONG), rxws.codecs.uncompressed(LONG.encode()), LONG):
            socket.outgoing.on_next(message)
        heard = [await peer.hear() for _ in range(3)]
        assert [frame.first for frame in heard] == [0x81, 0x82, 0xC1]
    async with meeting(role, extension=FORGETS, codec=Careful()) as (socket, peer):
        for message in (LONG, f"{LONG} secret"):
            socket.outgoing.on_next(message)
        assert [(await peer.hear()).first for _ in range(2)] == [0xC1, 0x81]


@both
@pytest.mark.parametrize("keeping", [False, True])
@pytest.mark.parametrize("kind", ["zeros", "noise", "plain", "fragments"])
async def test_limit_is_exact(role: Role, keeping: bool, kind: str) -> None:
    """A message of exactly `max_msg_size`, inflated, passes, however large it is on the wire; a byte more is 1009."""
    compress = rxws.Deflate(incoming_context=keeping)
    extension = DEFLATE if keeping else FORGETS
    async with meeting(role, extension=extension, compress=compress, max_msg_size=10_000) as (socket, peer):
        received = watch(incoming=socket.incoming)
        for more in (0, 1):
            data = NOISE + bytes(more) if kind != "zeros" else bytes(10_000 + more)
            if kind == "plain":
                peer.say(BINARY, data)
            elif kind == "fragments":
                peer.say(BINARY, data[:5000], fin=False)
                peer.say(CONTINUATION, data[5000:])
            else:
                worst = zlib.compressobj(9, zlib.DEFLATED, -15, 1, zlib.Z_FIXED if kind == "noise" else 0)
                peer.say(BINARY, Squeeze(worst)(data), rsv=0x40)
            if not more:
                assert said_in(await peer.hear(), zlib.decompressobj(-15)) == data
        assert (await peer.hear_close())[0] == 1009
        peer.writer.close()
        assert (await ended(socket)).code == 1009
    assert len(received) == 2


@both
async def test_pongs_among_compressed_messages(role: Role) -> None:
    """A pong is not in the way of what is compressed: to aiohttp 3.14.2 and 3.14.3 one before it makes it wrong."""
    async with meeting(role, extension=FORGETS) as (_, peer):
        for text in TEXTS:
            peer.say(PONG, b"unasked")
            peer.say(TEXT, Squeeze()(text.encode()), rsv=0x40)
        assert [said_in(await peer.hear()).decode() for _ in TEXTS] == TEXTS


@both
async def test_compressed_text_that_is_not_utf8(role: Role) -> None:
    async with meeting(role, extension=FORGETS) as (_, peer):
        peer.say(TEXT, Squeeze()(b"\xff" * 200), rsv=0x40)
        assert await peer.hear_close() == (1007, "")


@both
async def test_order_behind_a_hold(role: Role) -> None:
    """Messages that a hold keeps back come in their order, and before the violation behind them."""
    gate = asyncio.Event()
    seen: list[Any] = []

    async def keep(message: Any) -> None:
        await gate.wait()
        seen.append(message)

    def handler(incoming: Any) -> Any:
        return incoming.pipe(rxws.operators.map_async(keep, max_concurrent=1), ops.ignore_elements())

    async with meeting(role, handler, extension=FORGETS) as (socket, peer):
        for number in range(600):
            if number % 3:
                peer.say(TEXT, Squeeze()(f"{LONG}{number}".encode()), rsv=0x40)
            else:
                peer.say(TEXT, f"{LONG}{number}".encode())
        peer.say(TEXT, b"\xff" * 20, rsv=0x40)
        await asyncio.sleep(0.1)
        assert seen == []
        gate.set()
        assert (await peer.hear_close())[0] == 1002
        peer.writer.close()
        assert (await ended(socket)).code == 1002
    assert seen == [f"{LONG}{number}" for number in range(600)]


@pytest.mark.parametrize("split", [0, 1, 2, 3, 10, 10_000])
async def test_frames_with_the_answer(split: int) -> None:
    """A client reads compressed frames that come with the answer to its handshake, cut anywhere."""
    data = [Squeeze()(text.encode()) for text in TEXTS]
    frames = b"".join(bytes((0xC1, len(one))) + one for one in data)

    def answer(head: bytes) -> str:
        return upgrade(head, also=f"Sec-WebSocket-Extensions: {FORGETS}")

    async with answering(answer, behind=frames[:split]) as server, rxws.connect(server.url, compress=True) as socket:
        seen: list[Any] = []
        socket.incoming.subscribe(seen.append)
        peer = await server.peers.get()
        peer.writer.write(frames[split:] + b"\x88\x02\x03\xe8")
        assert await ended(socket) == rxws.Close()
    assert seen == TEXTS


@both
async def test_frames_cut_anywhere(role: Role) -> None:
    """Compressed and plain frames are read byte by byte."""
    async with meeting(role, extension=FORGETS) as (_, peer):
        data = Squeeze()(LONG.encode())
        whole = peer.frame(TEXT, data, rsv=0x40) + peer.frame(TEXT, b"x" * 200) + peer.frame(BINARY, data, rsv=0x40)
        for byte in whole:
            peer.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        heard = [said_in(await peer.hear()) for _ in range(3)]
    assert heard == [LONG.encode(), b"x" * 200, LONG.encode()]


@pytest.mark.parametrize("compress", [True, rxws.Deflate(outgoing_context=True, incoming_context=True)])
async def test_both_ends(compress: Any, eventually: Eventually) -> None:
    """rxws understands itself, in both directions, for messages of all sizes, by themselves and in bursts."""
    messages = ["x" * size for size in (0, 1, 127, 128, 5000, 300_000)] + TEXTS + [NOISE, NOISE * 20]
    async with (
        serving(rxws.websocket(compress=compress)(echo)) as server,
        rxws.connect(server.url, compress=compress) as socket,
    ):
        seen: list[Any] = []
        socket.incoming.subscribe(seen.append)
        for message in messages * 2:
            socket.outgoing.on_next(message)
        await eventually(lambda: len(seen) == 2 * len(messages))
        assert seen == messages * 2
        stats = server.sockets[0].stats
    assert stats.received_wire_bytes == stats.sent_wire_bytes < stats.sent_bytes
