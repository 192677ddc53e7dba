"""RFC 6455, sections 5.5.1 and 7: how a connection ends, in either role."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from reactivex import operators as ops

import rxws
from tests.conformance.peers import Role, answering, meeting
from tests.fuzzing.frames import CLOSE, PING, TEXT
from tests.streams import ended, watch

BOTH_LOOPS = True
ROLES: list[Role] = ["server", "client"]
both = pytest.mark.parametrize("role", ROLES)


@both
@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (4001, "bye é"), (1011, "x" * 123)])
async def test_close_frame(role: Role, code: int, reason: str) -> None:
    """To close is a close frame: two bytes of the code, the reason in UTF-8 (5.5.1, 7.1.2)."""
    async with meeting(role) as (socket, peer):
        socket.close(code, reason)
        heard = await peer.hear()
    assert (heard.first, heard.data) == (0x80 | CLOSE, code.to_bytes(2, "big") + reason.encode())


@both
async def test_nothing_follows_a_close_frame(role: Role) -> None:
    """What was sent before the close frame goes before it, and no data goes after it (5.5.1)."""
    async with meeting(role) as (socket, peer):
        socket.outgoing.on_next("before")
        socket.close(4000)
        socket.outgoing.on_next("after")
        peer.say(TEXT, b"an echo would be after it, too")
        assert (await peer.hear()).data == b"before"
        assert (await peer.hear()).opcode == CLOSE
        peer.say(CLOSE, b"\x0f\xa0")
        assert await peer.hear_end() == b""


@both
@pytest.mark.parametrize(
    ("body", "answer", "seen"),
    [
        (b"", b"\x03\xe8", rxws.Close.received(1005)),
        (b"\x03\xe8", b"\x03\xe8", rxws.Close(1000)),
        (b"\x03\xe9bye", b"\x03\xe9bye", rxws.Close(1001, "bye")),
        (b"\x0f\xa1" + "é".encode(), b"\x0f\xa1" + "é".encode(), rxws.Close(4001, "é")),
    ],
)
async def test_close_frame_is_answered(role: Role, body: bytes, answer: bytes, seen: rxws.Close) -> None:
    """A close frame is answered with one, and is what the connection ended with; none in it is 1005 (5.5.1, 7.1.5)."""
    async with meeting(role) as (socket, peer):
        peer.say(CLOSE, body)
        heard = await peer.hear()
        assert (heard.opcode, heard.data) == (CLOSE, answer)
        if role == "client":  # which waits for the server to close
            peer.writer.close()
        assert await peer.hear_end() == b""
        assert await ended(socket) == seen


@both
async def test_tcp_is_closed(role: Role) -> None:
    """When both close frames are there a server closes TCP at once, a client after a while if its server does not."""
    async with meeting(role, close_timeout=0.3 if role == "client" else 10) as (socket, peer):
        socket.close()
        await peer.hear_close()
        began = time.monotonic()
        peer.say(CLOSE, b"\x03\xe8")
        assert await peer.hear_end() == b""
        assert time.monotonic() - began < 4
        assert await ended(socket) == rxws.Close(1000)


@both
async def test_both_close_at_once(role: Role) -> None:
    """Two close frames that cross are the end of the closing handshake (5.5.1)."""
    async with meeting(role) as (socket, peer):
        peer.say(CLOSE, b"\x0f\xa1")
        socket.close(4000)
        heard = [await peer.hear()]
        peer.writer.write_eof()
        assert [frame.opcode for frame in heard] == [CLOSE]
        assert await peer.hear_end() == b""
        await ended(socket)


@both
@pytest.mark.parametrize(
    "body", [b"\x03", b"\x03\xe8\xff", b"\x03\xe8\xed\xa0\x80"], ids=["one byte", "ff", "surrogate"]
)
async def test_wrong_body(role: Role, body: bytes) -> None:
    """A close frame has no body, or two bytes and UTF-8 (5.5.1, 8.1)."""
    async with meeting(role) as (socket, peer):
        watch(errors=socket.errors)
        peer.say(CLOSE, body)
        code, _ = await peer.hear_close()
        assert code == (1002 if len(body) == 1 else 1007)


@both
@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535])
async def test_wrong_code(role: Role, code: int) -> None:
    """Codes that must not be in a close frame, or are not defined, fail the connection (7.4.1, 7.4.2)."""
    async with meeting(role) as (socket, peer):
        watch(errors=socket.errors)
        peer.say(CLOSE, code.to_bytes(2, "big"))
        assert await peer.hear_close() == (1002, "")


@both
@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000])
async def test_codes_that_are_never_sent(role: Role, code: int) -> None:
    """Nobody can make a close frame with such a code; one that came from elsewhere is passed on as another (7.4.1)."""
    async with meeting(role) as (socket, peer):
        with pytest.raises(ValueError, match="may not be sent"):
            socket.close(code)
        if code in (1005, 1006):
            socket.outgoing.on_next(rxws.Close.received(code))
            assert (await peer.hear_close())[0] == {1005: 1000, 1006: 1011}[code]


@both
@pytest.mark.parametrize("leave", ["end of file", "abort"])
async def test_connection_is_lost(role: Role, leave: str) -> None:
    """A connection that ends without a close frame is 1006, which nobody sends (7.1.5, 7.2.1)."""
    async with meeting(role) as (socket, peer):
        log = watch(errors=socket.errors)
        if leave == "abort":
            peer.writer.transport.abort()
        else:
            peer.writer.write_eof()
            assert await peer.hear_end() == b""
        assert await ended(socket) == rxws.Close.received(1006)
        assert [type(entry[1]) for entry in log if entry[0] == "errors"] == [rxws.ConnectionLost]


@both
async def test_failed_connection_is_closed(role: Role) -> None:
    """After a violation nothing of the peer's counts, not its close frame either, and TCP is closed (7.1.7)."""
    async with meeting(role, close_timeout=0.3) as (socket, peer):
        log = watch(incoming=socket.incoming, errors=socket.errors.pipe(ops.map(type)))
        peer.say(3)
        assert (await peer.hear_close())[0] == 1002
        for _ in range(3):
            peer.say(TEXT, b"never")
            peer.say(PING, b"never")
        peer.say(CLOSE, b"\x03\xe8")
        assert await peer.hear_end() == b""
        assert (await ended(socket)).code == 1002
        assert log[:2] == [("errors", rxws.ProtocolError), "incoming|"] or log[:2] == [
            "incoming|",
            ("errors", rxws.ProtocolError),
        ]


async def test_client_that_must_fail_does_not_become_a_socket() -> None:
    """A handshake that fails closes the connection, and no frame follows (7.2.1)."""
    async with answering(lambda head: "HTTP/1.1 101 Switching Protocols") as server:
        with pytest.raises(rxws.ConnectError):
            await rxws.connect(server.url)
        peer = await server.peers.get()
        assert await peer.hear_end() == b""


async def test_reconnecting_is_slowed_down() -> None:
    """A client that comes back waits a random time, longer after each failure (7.2.3)."""
    backoff = rxws.Backoff()
    lost = rxws.ConnectionLost("lost")
    first = [backoff.delay(0, lost) for _ in range(100)]
    tenth = [backoff.delay(9, lost) for _ in range(100)]
    assert len(set(first)) > 90
    assert sum(tenth) > 5 * sum(first)


@both
async def test_close_is_heard_behind_messages(role: Role) -> None:
    """Messages before a close frame are delivered before it, in order (5.4, 7.1.6)."""
    async with meeting(role, lambda incoming: incoming.pipe(ops.ignore_elements())) as (socket, peer):
        log: list[Any] = watch(incoming=socket.incoming, closed=socket.closed)
        peer.writer.write(b"".join(peer.frame(TEXT, str(number).encode()) for number in range(300)))
        peer.say(CLOSE, b"\x03\xe8end")
        async with asyncio.timeout(5):
            await peer.hear_close()
            peer.writer.close()
            await socket.closed
    assert [entry[1] for entry in log if entry[0] == "incoming"] == [str(number) for number in range(300)]
    assert log[-2:] == [("closed", rxws.Close(1000, "end")), "closed|"]
