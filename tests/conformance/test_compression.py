"""RFC 7692: permessage-deflate, in either role. `tests/wires/test_negotiation.py` has every offer and answer."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest

import rxws
from tests.conformance.peers import DEFLATE, Frame, Peer, Role, answering, asking, echo, meeting, request, upgrade
from tests.fuzzing.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from tests.integration.server import serving
from tests.streams import ended, watch

BOTH_LOOPS = True
ROLES: list[Role] = ["server", "client"]
both = pytest.mark.parametrize("role", ROLES)
TAIL = b"\x00\x00\xff\xff"
NO_CONTEXT = f"{DEFLATE}; server_no_context_takeover; client_no_context_takeover"
TEXTS = [f"the same words again and again, {number} " * 5 for number in range(5)]
LONG = TEXTS[0].encode()
KEEPING = rxws.Deflate(outgoing_context=True, incoming_context=True, outgoing_window_bits=15)


class Squeeze:
    """A peer's compressor of messages."""

    def __init__(self, how: Any = 15) -> None:
        self._deflate = zlib.compressobj(wbits=-how) if isinstance(how, int) else how

    def __call__(self, data: bytes) -> bytes:
        return (self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def expand(data: bytes, bits: int = 15, inflate: Any = None) -> bytes:
    return (inflate or zlib.decompressobj(-bits)).decompress(data + TAIL)


def extension_in(head: str) -> list[str]:
    return [line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Extensions")]


def said_in(frame: Frame, inflate: Any = None) -> bytes:
    """Give what a frame says, compressed or plain."""
    return expand(frame.data, inflate=inflate) if frame.first & 0x40 else frame.data


async def hear_message(peer: Peer, number: int) -> list[bytes]:
    heard = [await peer.hear() for _ in range(number)]
    assert {(frame.first, frame.wide > 2) for frame in heard} <= {(0xC0 | TEXT, False), (0xC0 | BINARY, False)}
    return [frame.data for frame in heard]


# Negotiation


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        ("permessage-deflate", [NO_CONTEXT]),
        ("permessage-deflate; client_max_window_bits", [NO_CONTEXT]),
        ("permessage-deflate; server_max_window_bits=15", [f"{NO_CONTEXT}; server_max_window_bits=15"]),
        ("permessage-deflate; server_no_context_takeover", [NO_CONTEXT]),
        ("foo\nSec-WebSocket-Extensions: permessage-deflate", [NO_CONTEXT]),
        ("permessage-deflate; server_max_window_bits=11", []),
        ("permessage-deflate; server_max_window_bits=7", []),
        ("permessage-deflate; server_max_window_bits", []),
        ("permessage-deflate; client_max_window_bits=16", []),
        ("permessage-deflate; foo", []),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", []),
        ("x-permessage-deflate", []),
        ("permessage-deflate; foo, permessage-deflate", [NO_CONTEXT]),
    ],
)
async def test_server_answers_offers(offer: str, answer: list[str]) -> None:
    """A server accepts the first offer that is right and can be met, and declines the others (7, 7.1)."""
    asked = request(also=f"Sec-WebSocket-Extensions: {offer}")
    async with serving(rxws.websocket(compress=True)(echo)) as server, asking(server, asked) as peer:
        assert extension_in(peer.head) == answer
        peer.say(TEXT, LONG)
        heard = await peer.hear()
        assert (expand(heard.data) if answer else heard.data, heard.first >= 0xC0) == (LONG, bool(answer))


async def test_server_without_compression_declines() -> None:
    """A server without `compress` declines every offer, and a compressed message is then a violation (5, 6)."""
    asked = request(also=f"Sec-WebSocket-Extensions: {DEFLATE}")
    async with serving(rxws.websocket(echo)) as server, asking(server, asked) as peer:
        assert extension_in(peer.head) == []
        peer.say(TEXT, Squeeze()(b"hi"), rsv=0x40)
        assert await peer.hear_close() == (1002, "")


@pytest.mark.parametrize("compress", [False, True])
async def test_client_offers(compress: bool) -> None:
    """A client offers permessage-deflate, with `client_max_window_bits`, or nothing (7.1.2.2)."""
    async with answering() as server, rxws.connect(server.url, compress=compress) as socket:
        peer = await server.peers.get()
        expected = ["permessage-deflate; client_max_window_bits"] if compress else []
        assert extension_in(peer.head) == expected
        socket.outgoing.on_next("hi")
        assert (await peer.hear()).first == 0x80 | TEXT, "the server agreed to nothing"
        server.close()


@pytest.mark.parametrize(
    "answer",
    [
        "foo",
        "permessage-deflate; foo",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate, permessage-deflate",
        "permessage-deflate\nSec-WebSocket-Extensions: foo",
    ],
)
async def test_client_fails_on_answers(answer: str) -> None:
    """A client fails on an answer that is wrong, or that it cannot meet (5, 7)."""
    async with answering(lambda head: upgrade(head, also=f"Sec-WebSocket-Extensions: {answer}")) as server:
        with pytest.raises(rxws.ConnectError, match="handshake is wrong") as failed:
            await rxws.connect(server.url, compress=True)
    assert failed.value.stage == "handshake"


# Messages


@both
async def test_messages_are_compressed(role: Role) -> None:
    """Messages go in one frame with RSV1, without the tail of the last block; control frames have none (6, 7.2.1)."""
    async with meeting(role, extension=DEFLATE) as (socket, peer):
        for text in TEXTS:
            socket.outgoing.on_next(text)
        data = await hear_message(peer, len(TEXTS))
        assert [expand(one).decode() for one in data] == TEXTS, "each by itself"
        assert not any(one.endswith(TAIL) for one in data)
        peer.say(PING, b"hi")
        assert (await peer.hear()).first == 0x8A
        socket.close()
        assert (await peer.hear()).first == 0x80 | CLOSE


@both
@pytest.mark.parametrize(
    "kind",
    [
        *("one frame", "fragments", "stored", "plain", "empty", "one octet"),
        *("ping between", "pong between", "BFINAL", "BFINAL alone"),
    ],
)
@pytest.mark.parametrize("keeping", [False, True])
async def test_messages_are_expanded(role: Role, kind: str, keeping: bool) -> None:
    """Messages are taken however they are compressed and cut, and plain ones among them (6.2, 7.2.2, 7.2.3)."""
    other = "client" if role == "server" else "server"
    extension, compress = (DEFLATE, KEEPING) if keeping else (f"{DEFLATE}; {other}_no_context_takeover", True)
    squeeze, expected = Squeeze(), [TEXTS[0], "", TEXTS[1]]
    async with meeting(role, extension=extension, compress=compress) as (_, peer):
        peer.say(TEXT, squeeze(TEXTS[0].encode()), rsv=0x40)
        if not keeping and kind != "empty":
            squeeze = Squeeze()
        match kind:
            case "one frame":
                peer.say(TEXT, squeeze(b"second " * 1000), rsv=0x40)
                expected[1] = "second " * 1000
            case "fragments" | "ping between" | "pong between":
                data = squeeze(b"second " * 10)
                peer.say(TEXT, data[:1], rsv=0x40, fin=False)
                if kind == "ping between":
                    peer.say(PING)
                elif kind == "pong between":
                    peer.say(PONG, b"unasked")
                peer.say(CONTINUATION, data[1:4], fin=False)
                peer.say(CONTINUATION, data[4:])
                expected[1] = "second " * 10
            case "BFINAL" | "BFINAL alone":
                final = zlib.compressobj(wbits=-15)
                block = final.compress(b"second") + final.flush(zlib.Z_FINISH)
                peer.say(TEXT, block if kind == "BFINAL alone" else block + b"\x00", rsv=0x40)
                expected[1] = "second"
            case "stored":
                peer.say(TEXT, b"\x00\x05\x00\xfa\xffHello\x00", rsv=0x40)
                expected[1] = "Hello"
            case "plain":
                peer.say(TEXT, b"second")
                expected[1] = "second"
            case "empty":
                peer.say(TEXT, squeeze(b""), rsv=0x40)
            case _:
                peer.say(TEXT, b"\x00", rsv=0x40)
        if not keeping or kind in ("BFINAL", "BFINAL alone", "stored"):
            squeeze = Squeeze()  # which knows nothing of what came
        peer.say(TEXT, squeeze(TEXTS[1].encode()), rsv=0x40)
        inflate, heard = zlib.decompressobj(-15) if keeping else None, []
        while len(heard) < 3:
            frame = await peer.hear()
            if frame.opcode == TEXT:
                heard.append(said_in(frame, inflate).decode())
    assert heard == expected


@both
async def test_own_context(role: Role) -> None:
    """Whose `no_context_takeover` is agreed on compresses each message without those before it (7.1.1, 7.2.1)."""
    extension = f"{DEFLATE}; {role}_no_context_takeover"
    async with meeting(role, extension=extension, compress=KEEPING) as (socket, peer):
        for _ in range(3):
            socket.outgoing.on_next(TEXTS[0])
        data = await hear_message(peer, 3)
        assert [expand(one).decode() for one in data] == [TEXTS[0]] * 3
        assert len(set(data)) == 1


@both
async def test_own_context_kept(role: Role) -> None:
    """With options for it, messages refer to those before them, if the peer does not mind (7.2.1)."""
    async with meeting(role, extension=DEFLATE, compress=KEEPING) as (socket, peer):
        for _ in range(3):
            socket.outgoing.on_next(TEXTS[0])
        data = await hear_message(peer, 3)
        inflate = zlib.decompressobj(-15)
        assert [expand(one, inflate=inflate).decode() for one in data] == [TEXTS[0]] * 3
        assert len(data[1]) < len(data[0]) // 3


@both
async def test_context_of_the_peer(role: Role) -> None:
    """A peer that resets its context, or keeps it, is understood either way (7.2.2)."""
    other = "client" if role == "server" else "server"
    for extension in (DEFLATE, f"{DEFLATE}; {other}_no_context_takeover"):
        async with meeting(role, extension=extension, compress=KEEPING) as (_, peer):
            squeeze = Squeeze()
            for text in TEXTS:
                if extension != DEFLATE:
                    squeeze = Squeeze()
                peer.say(TEXT, squeeze(text.encode()), rsv=0x40)
            inflate = zlib.decompressobj(-15)
            assert [expand(one, inflate=inflate).decode() for one in await hear_message(peer, 5)] == TEXTS


async def test_client_that_keeps_its_context() -> None:
    """Tornado's client keeps its context though it agrees not to: it is not asked to, and understood."""
    asked = request(also=f"User-Agent: Tornado/6.6\nSec-WebSocket-Extensions: {DEFLATE}")
    async with serving(rxws.websocket(compress=True)(echo)) as server, asking(server, asked) as peer:
        assert extension_in(peer.head) == [f"{DEFLATE}; server_no_context_takeover"]
        squeeze = Squeeze()
        for text in TEXTS:
            peer.say(TEXT, squeeze(text.encode()), rsv=0x40)
        assert [expand(one).decode() for one in await hear_message(peer, 5)] == TEXTS


@both
async def test_peer_that_does_not_forget(role: Role) -> None:
    """A message that refers to those before it, though the peer agreed to forget them, fails the connection, 1002."""
    other = "client" if role == "server" else "server"
    async with meeting(role, extension=f"{DEFLATE}; {other}_no_context_takeover") as (_, peer):
        squeeze = Squeeze()
        for text in TEXTS[:2]:
            peer.say(TEXT, squeeze(text.encode()), rsv=0x40)
        assert await peer.hear_close() == (1002, "")


@both
@pytest.mark.parametrize("bits", [8, 9, 12, 15])
@pytest.mark.parametrize("keeping", [False, True])
async def test_own_window(role: Role, bits: int, keeping: bool) -> None:
    """What is sent needs no larger window than was agreed on (7.1.2, 7.2.1)."""
    block = random.Random(1).randbytes(2 ** (bits - 1) + 100)
    extension = f"{DEFLATE}; {role}_max_window_bits={bits}"
    compress = KEEPING if keeping else rxws.Deflate()
    async with meeting(role, extension=extension, compress=compress) as (socket, peer):
        socket.outgoing.on_next(b"abc" * 100 + block * 3)
        (data,) = await hear_message(peer, 1)
    assert expand(data, bits) == b"abc" * 100 + block * 3


@both
@pytest.mark.parametrize("bits", [9, 15])
async def test_window_of_the_peer(role: Role, bits: int) -> None:
    """What a peer compressed with any window is understood (7.2.2)."""
    block = random.Random(1).randbytes(2 ** (bits - 1))
    async with meeting(role, extension=DEFLATE) as (_, peer):
        peer.say(BINARY, Squeeze(bits)(block * 3), rsv=0x40)
        heard = await peer.hear()
    assert said_in(heard) == block * 3


@both
@pytest.mark.parametrize("fin", [True, False])
async def test_bit_of_a_continuation(role: Role, fin: bool) -> None:
    """RSV1 on a fragment that is not the first fails the connection (6)."""
    async with meeting(role, extension=DEFLATE) as (socket, peer):
        log = watch(errors=socket.errors)
        peer.say(TEXT, Squeeze()(b"a"), rsv=0x40, fin=False)
        peer.say(CONTINUATION, b"", rsv=0x40, fin=fin)
        assert await peer.hear_close() == (1002, "")
        peer.writer.close()
        await ended(socket)
        assert "reserved bit" in str(log[0][1])


@both
async def test_garbage_in_place_of_compressed_data(role: Role) -> None:
    """What cannot be expanded fails the connection with 1002."""
    async with meeting(role, extension=DEFLATE) as (socket, peer):
        log = watch(errors=socket.errors)
        peer.say(TEXT, b"\xff" * 20, rsv=0x40)
        assert await peer.hear_close() == (1002, "")
        peer.writer.close()
        assert await ended(socket) == rxws.Close(1002)
        assert [type(entry[1]) for entry in log if entry[0] == "errors"] == [rxws.ProtocolError]
