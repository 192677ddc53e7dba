"""Peers that leave, each in its own way."""

import asyncio
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest
from reactivex.subject import Subject

import rxws
from tests.faults.peers import Listening, listening
from tests.integration.raw import CLOSE, TEXT, Raw, raw
from tests.integration.server import serving
from tests.streams import ended, watch

BOTH_LOOPS = True
Eventually = Callable[..., Any]


async def test_push_only_handler_is_disposed(eventually: Eventually) -> None:
    """A handler that only pushes is disposed within a second after its peer leaves."""
    room = Subject[str]()
    async with serving(rxws.websocket(lambda: room)) as server:
        for _ in range(20):
            async with raw(server.port) as peer:
                await eventually(lambda: room.observers)
                peer.send(TEXT, b"never wanted")
        await eventually(lambda: room.observers == [], 4)


def reset(peer: Raw) -> None:
    peer.reset()


def end_of_file(peer: Raw) -> None:
    peer.writer.close()


@pytest.mark.parametrize("leave", [reset, end_of_file], ids=lambda f: f.__name__)
async def test_leaving_in_mid_message_tells_the_cause(leave: Callable[[Raw], None], eventually: Eventually) -> None:
    """A peer that leaves in the middle of a message causes one terminal event, with the real cause."""
    logs: list[list[Any]] = []
    room = Subject[str]()

    @rxws.websocket
    def handler(incoming: Any, errors: Any, socket: Any) -> Any:
        logs.append(watch(incoming=incoming, errors=errors, closed=socket.closed))
        return room

    async with serving(handler) as server, raw(server.port) as peer:
        await eventually(lambda: logs and server.sockets)
        peer.writer.write(b"\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff1234begin")
        await asyncio.sleep(0.05)
        leave(peer)
        await ended(server.sockets[0], 4)
        room.on_next("too late")
        await asyncio.sleep(0.05)
    (kind, error), *rest = logs[0]
    assert rest == ["incoming|", "errors|", ("closed", rxws.Close.received(1006)), "closed|"]
    assert kind == "errors"
    assert type(error) is rxws.ConnectionLost
    if leave is reset and rxws.wire_mode == "fast":  # aiohttp's public methods do not tell
        assert isinstance(error.__cause__, ConnectionResetError)
        assert "closing transport" not in str(error.__cause__)


BAD_FRAMES = {
    "close with code 0": b"\x88\x82\0\0\0\0\0\0",
    "close with one byte": b"\x88\x81\0\0\0\0\x03",
    "close with code 1006": b"\x88\x82\0\0\0\0\x03\xee",
    "text that is not UTF-8": b"\x81\x82\0\0\0\0\xc3\x28",
    "reserved bit": b"\xc1\x81\0\0\0\0a",
    "unknown opcode": b"\x83\x80\0\0\0\0",
    "continuation of nothing": b"\x80\x81\0\0\0\0a",
    "fragmented ping": b"\x09\x80\0\0\0\0",
    "too large": b"\x82\xff\0\0\0\0\x7f\xff\xff\xff\0\0\0\0",
}


@pytest.mark.parametrize("leave", [reset, end_of_file], ids=lambda f: f.__name__)
@pytest.mark.parametrize("bad", BAD_FRAMES.values(), ids=BAD_FRAMES)
async def test_bad_frame_then_leave_frees_the_place(
    bad: bytes, leave: Callable[[Raw], None], eventually: Eventually
) -> None:
    """A peer that breaks the protocol and closes TCP at once is let go, and its place is free again."""
    async with serving(rxws.websocket(lambda incoming: incoming), max_connections=2) as server:
        for number in range(1, 5):
            async with raw(server.port, early=b"" if number % 2 else bad) as peer:
                if number % 2:
                    peer.writer.write(bad)
                leave(peer)
                await eventually(lambda number=number: len(server.sockets) == number)
            assert server.hub is not None
            await eventually(lambda: not len(server.hub or ()), 4)
            close = await ended(server.sockets[-1], 4)
            assert close.code in ((1002, 1007, 1009) if leave is end_of_file else (1002, 1006, 1007, 1009))


@pytest.mark.parametrize("leave", [reset, end_of_file], ids=lambda f: f.__name__)
@pytest.mark.parametrize("bad", BAD_FRAMES.values(), ids=BAD_FRAMES)
async def test_bad_frame_then_leave_ends_a_client(bad: bytes, leave: Callable[[Raw], None]) -> None:
    """A server that breaks the protocol and closes TCP at once ends a client's socket."""
    unmasked = bad[:1] + bytes((bad[1] & 0x7F,)) + (bad[2:10] if bad[1] == 0xFF else bad[6:])

    async def script(server: Listening) -> None:
        server.writer.write(unmasked)
        leave(Raw(server.reader, server.writer))

    async with listening(script) as url, asyncio.timeout(5), rxws.connect(url, close_timeout=1) as socket:
        close = await ended(socket, 4)
    assert close.code in ((1002, 1007, 1009) if leave is end_of_file else (1002, 1006, 1007, 1009))


async def test_server_takes_empty_close_as_1005(eventually: Eventually) -> None:
    """A server takes a close frame without a code as 1005, at once."""
    async with serving(rxws.websocket(lambda incoming: incoming)) as server, raw(server.port) as peer:
        await eventually(lambda: server.sockets)
        began = time.monotonic()
        peer.send_close(None)
        assert await peer.receive_close() == (1000, "")
        assert await ended(server.sockets[0]) == rxws.Close.received(1005)
        assert time.monotonic() - began < 4  # `close_timeout` is five seconds


async def test_client_takes_empty_close_as_1005() -> None:
    """A client takes a close frame without a code as 1005, at once."""
    answers: list[tuple[int, bytes]] = []

    async def close(peer: Listening) -> None:
        peer.send(CLOSE)
        answers.append(await peer.receive())

    async with listening(close) as url:
        began = time.monotonic()
        async with rxws.connect(url) as client:
            assert await ended(client) == rxws.Close.received(1005)
        assert time.monotonic() - began < 4  # `close_timeout` is five seconds
    assert answers == [(CLOSE, struct.pack("!H", 1000))]


CODES = [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535]


@pytest.mark.parametrize("code", CODES)
async def test_server_answers_illegal_code_with_1002(code: int) -> None:
    """A server answers a close code that no frame may carry with 1002."""
    async with serving(rxws.websocket(lambda incoming: incoming)) as server, raw(server.port) as peer:
        peer.send_close(code)
        assert await peer.receive_close() == (1002, "")
        peer.writer.close()
        assert (await ended(server.sockets[0])).code == 1002


@pytest.mark.parametrize("code", CODES)
async def test_client_answers_illegal_code_with_1002(code: int) -> None:
    """A client answers a close code that no frame may carry with 1002."""
    answers: list[tuple[int, bytes]] = []

    async def close(peer: Listening) -> None:
        peer.send(CLOSE, struct.pack("!H", code))
        answers.append(await peer.receive())

    async with listening(close) as url, rxws.connect(url) as client:
        assert (await ended(client)).code == 1002
    assert answers == [(CLOSE, struct.pack("!H", 1002))]
