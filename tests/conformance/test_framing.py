"""RFC 6455, section 5: what a frame must be, in either role; `docs/conformance.md` has the table."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from typing import Any

import pytest
from reactivex import operators as ops

import rxws
from rxws.wires.aiohttp import masks
from rxws.wires.aiohttp.fast.framing import masked, plain
from tests.conformance.peers import DEFLATE, MASK, Role, meeting
from tests.faults.peers import Listening, listening
from tests.fuzzing.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from tests.streams import ended, watch

BOTH_LOOPS = True
ROLES: list[Role] = ["server", "client"]
both = pytest.mark.parametrize("role", ROLES)


def header_of_more(peer: Any) -> bytes:
    """Make the header of a message that never comes to its end."""
    return peer.frame(BINARY, b"", more=65_535)[: 8 if peer.role == "server" else 4]


async def is_1002_at_once(socket: Any, peer: Any, log: list[Any], says: str) -> None:
    """Check that the socket failed without waiting for more, and that nothing after the violation counted."""
    assert await peer.hear_close() == (1002, "")
    peer.writer.close()
    assert (await ended(socket)).code == 1002
    (error,) = [entry[1] for entry in log if entry[0] == "errors"]
    assert isinstance(error, rxws.ProtocolError)
    assert says in str(error)


@both
@pytest.mark.parametrize("before", [0, 1, 300], ids=["first", "second", "late in a flood"])
@pytest.mark.parametrize("size", [0, 2, 200, 70_000])
async def test_mask_bit_is_wrong(role: Role, before: int, size: int) -> None:
    """A server fails on a frame that is not masked, a client on one that is; the header is enough (5.1)."""
    wrong = None if role == "server" else MASK
    async with meeting(role) as (socket, peer):
        log = watch(incoming=socket.incoming, errors=socket.errors)
        bad = peer.frame(TEXT, b"a" * size, mask=wrong)
        peer.writer.write(peer.frame(TEXT, b"good") * before + bad + peer.frame(TEXT, b"never"))
        await is_1002_at_once(socket, peer, log, "masked")
        assert [entry[1] for entry in log if entry[0] == "incoming"] == ["good"] * before


@both
async def test_mask_bit_is_wrong_and_bytes_trickle(role: Role) -> None:
    """A wrong mask in one chunk with the header of a message that trickles in: 1002 at once, not after its deadline."""
    wrong = None if role == "server" else MASK
    async with meeting(role, message_timeout=60.0) as (socket, peer):
        log = watch(incoming=socket.incoming, errors=socket.errors)
        began = time.monotonic()
        peer.writer.write(peer.frame(TEXT, b"hi", mask=wrong) + header_of_more(peer))

        async def trickle() -> None:
            while True:
                peer.writer.write(b"a")
                await asyncio.sleep(0.1)

        trickling = asyncio.create_task(trickle())
        await is_1002_at_once(socket, peer, log, "masked")
        trickling.cancel()
        assert time.monotonic() - began < 3
        assert [entry for entry in log if entry[0] == "incoming"] == []


@both
async def test_unfinished_message_behind_whole_ones(role: Role) -> None:
    """The deadline of a message begins with its header, also in the chunk of one that takes less than it might."""
    async with meeting(role, message_timeout=0.3) as (socket, peer):
        log = watch(incoming=socket.incoming, errors=socket.errors)
        for many in (1, 3):
            peer.writer.write(peer.frame(TEXT, b"hi") * many)
            await peer.hear()
        peer.writer.write(peer.frame(TEXT, b"", wide=2) + header_of_more(peer))
        assert (await peer.hear_close())[0] == 1008
        assert [entry[1] for entry in log if entry[0] == "incoming"] == ["hi"] * 4 + [""]


@both
async def test_masks_what_it_sends(role: Role) -> None:
    """A client masks each frame, with a key of its own; a server masks none (5.1, 5.3)."""
    async with meeting(role) as (socket, peer):
        for _ in range(50):
            socket.outgoing.on_next("hi")
        peer.say(PING, b"ping")
        heard = [await peer.hear() for _ in range(51)]
        socket.close()
        heard.append(await peer.hear())
    assert {frame.masked for frame in heard} == {role == "client"}
    assert sorted(frame.data for frame in heard) == [b"\x03\xe8", *[b"hi"] * 50, b"ping"]
    assert len({frame.mask for frame in heard}) > 40 if role == "client" else {frame.mask for frame in heard} == {b""}


@pytest.mark.parametrize("extension", ["", DEFLATE])
async def test_masks_come_from_a_strong_source(extension: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The masks of a client are those that the operating system made, on either wire (5.3)."""
    made = [bytes((number, 1, 2, 3)) for number in range(10)]
    async with meeting("client", extension=extension) as (socket, peer):
        monkeypatch.setattr(masks, "_made", iter([(one,) for one in made]))
        for _ in made:
            socket.outgoing.on_next("hi")
        assert [(await peer.hear()).mask for _ in made] == made


@both
@pytest.mark.parametrize("rsv", [0x40, 0x20, 0x10])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, PONG, CLOSE])
async def test_reserved_bit(role: Role, rsv: int, opcode: int) -> None:
    """A reserved bit that no extension gives a meaning to fails the connection (5.2)."""
    async with meeting(role) as (socket, peer):
        log = watch(incoming=socket.incoming, errors=socket.errors)
        peer.say(opcode, rsv=rsv)
        await is_1002_at_once(socket, peer, log, "reserved bit")


@both
@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
async def test_unknown_opcode(role: Role, opcode: int) -> None:
    """An opcode without a meaning fails the connection (5.2)."""
    async with meeting(role) as (socket, peer):
        log = watch(incoming=socket.incoming, errors=socket.errors)
        peer.say(opcode)
        await is_1002_at_once(socket, peer, log, f"opcode={opcode}")


@both
@pytest.mark.parametrize("limit", [1000, None])
async def test_length_of_64_bits(role: Role, limit: int | None) -> None:
    """The highest bit of a length must be 0 (5.2)."""
    async with meeting(role, max_msg_size=limit) as (socket, peer):
        log = watch(incoming=socket.incoming, errors=socket.errors)
        peer.say(BINARY, wide=8, more=2**63)
        await is_1002_at_once(socket, peer, log, "63 bits")


@both
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_000])
async def test_length_is_minimal(role: Role, size: int) -> None:
    """What rxws sends has the shortest length there is (5.2)."""
    async with meeting(role) as (socket, peer):
        socket.outgoing.on_next(b"a" * size)
        heard = await peer.hear()
    assert (heard.wide, len(heard.data)) == (0 if size < 126 else 2 if size < 65_536 else 8, size)


@both
@pytest.mark.parametrize("wide", [2, 8])
async def test_length_that_is_not_minimal(role: Role, wide: int) -> None:
    """A peer's length in more bytes than needed is read as it is: section 5.2 binds who sends it."""
    async with meeting(role) as (_, peer):
        peer.say(TEXT, b"hi", wide=wide)
        assert (await peer.hear()).data == b"hi"


@both
async def test_fragments(role: Role) -> None:
    """Messages come whole or in fragments, in order, with control frames between them (5.4)."""
    async with meeting(role) as (_, peer):
        peer.say(TEXT, b"a", fin=False)
        peer.say(PING, b"1")
        peer.say(CONTINUATION, b"b", fin=False)
        peer.say(PONG, b"2")
        peer.say(CONTINUATION, b"c")
        peer.say(TEXT, b"d")
        heard = [await peer.hear() for _ in range(3)]
    assert [frame.data for frame in heard if frame.opcode == TEXT] == [b"abc", b"d"]
    assert [frame.data for frame in heard if frame.opcode == PONG] == [b"1"]


@both
@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
async def test_fragmented_control_frame(role: Role, opcode: int) -> None:
    """A control frame must not be fragmented (5.4, 5.5)."""
    async with meeting(role) as (socket, peer):
        log = watch(errors=socket.errors)
        peer.say(opcode, fin=False)
        await is_1002_at_once(socket, peer, log, "fragmented")


@both
@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
async def test_long_control_frame(role: Role, opcode: int) -> None:
    """A control frame has 125 bytes at most (5.5)."""
    async with meeting(role) as (socket, peer):
        log = watch(errors=socket.errors)
        peer.say(opcode, bytes(126))
        await is_1002_at_once(socket, peer, log, "125 bytes")


@both
@pytest.mark.parametrize("first", [b"a", b""], ids=["with bytes", "empty"])
async def test_interleaved_messages(role: Role, first: bytes) -> None:
    """The fragments of a message must not stand between those of another one (5.4)."""
    async with meeting(role) as (socket, peer):
        log = watch(incoming=socket.incoming, errors=socket.errors)
        peer.say(TEXT, first, fin=False)
        peer.say(TEXT, b"b")
        await is_1002_at_once(socket, peer, log, "within another one")
        assert [entry for entry in log if entry[0] == "incoming"] == []


@both
async def test_continuation_of_nothing(role: Role) -> None:
    """A continuation has something before it that is not whole (5.4)."""
    async with meeting(role) as (socket, peer):
        log = watch(errors=socket.errors)
        peer.say(CONTINUATION, b"a")
        await is_1002_at_once(socket, peer, log, "continuation of no message")


@both
async def test_pongs(role: Role) -> None:
    """Each ping is answered with a pong of the same bytes, until a close frame has come (5.5.2, 5.5.3)."""
    async with meeting(role) as (socket, peer):
        for data in (b"", b"1", bytes(125)):
            peer.say(PING, data)
            assert (await peer.hear())[:4] == (0x80 | PONG, role == "client", 0, data)
        peer.writer.write(peer.frame(CLOSE, b"\x03\xe8") + peer.frame(PING, b"late"))
        assert (await peer.hear()).opcode == CLOSE
        assert await peer.hear_end() == b""
        assert (await ended(socket)).code == 1000


@both
@pytest.mark.parametrize("text", [b"\xff", b"ok\xc3", b"\xed\xa0\x80"])
async def test_text_that_is_not_utf8(role: Role, text: bytes) -> None:
    """A text message must be UTF-8; a character may be cut between two fragments (5.6, 8.1)."""
    async with meeting(role) as (socket, peer):
        watch(errors=socket.errors)
        peer.say(TEXT, b"\xc3", fin=False)
        peer.say(CONTINUATION, b"\xa9")
        assert (await peer.hear()).data == "é".encode()
        peer.say(TEXT, text)
        assert (await peer.hear_close())[0] == 1007


@both
@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
async def test_compressed_control_frame(role: Role, opcode: int) -> None:
    """With permessage-deflate, too, a control frame with RSV1 fails the connection (RFC 7692, section 6)."""
    async with meeting(role, extension=DEFLATE) as (socket, peer):
        log = watch(incoming=socket.incoming.pipe(ops.map(str)), errors=socket.errors)
        peer.say(TEXT, b"plain")
        assert (await peer.hear()).opcode == TEXT
        peer.say(opcode, rsv=0x40)
        await is_1002_at_once(socket, peer, log, "reserved bit")


@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize(("opcode", "data"), [(TEXT, b"never"), (CLOSE, struct.pack("!H", 4000)), (PING, b"never")])
async def test_violation_with_the_answer_of_the_handshake(opcode: int, data: bytes, before: int) -> None:
    """A masked frame of a server is 1002, too, if it comes with the handshake's answer: nothing from it on counts."""
    heard: list[tuple[int, bytes]] = []

    async def script(server: Listening) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                heard.append(await server.receive())

    early = plain(TEXT, b"good") * before + masked(opcode, data) + plain(CLOSE, struct.pack("!H", 4001))
    async with listening(script, with_handshake=early) as url, rxws.connect(url, close_timeout=1) as socket:
        log = watch(incoming=socket.incoming, errors=socket.errors)
        assert (await ended(socket)).code == 1002
    assert [entry[1] for entry in log if entry[0] == "incoming"] == ["good"] * before
    assert [type(entry[1]) for entry in log if entry[0] == "errors"] == [rxws.ProtocolError]
    assert heard == [(CLOSE, struct.pack("!H", 1002))]
