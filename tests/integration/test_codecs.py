"""Codecs of each connection, over real sockets: frames and messages that are not one to one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops

import rxws
from tests.integration.server import serving
from tests.streams import ended

BOTH_LOOPS = True


class Packets:
    """Packets of bytes behind a length of one byte; frames are cut where they are five bytes long."""

    def __init__(self) -> None:
        self.kept = b""

    def messages(self, data: str | bytes) -> Iterator[bytes]:
        assert isinstance(data, bytes)
        self.kept += data
        while self.kept and len(self.kept) > self.kept[0]:
            packet, self.kept = self.kept[1 : self.kept[0] + 1], self.kept[self.kept[0] + 1 :]
            yield packet

    def frames(self, message: bytes) -> Iterator[bytes]:
        data = bytes((len(message),)) + message
        for at in range(0, len(data), 5):
            yield data[at : at + 5]


def packed(*messages: bytes) -> bytes:
    return b"".join(bytes((len(message),)) + message for message in messages)


MESSAGES = [b"", b"a", b"bc" * 50, *(b"%d" % n for n in range(100)), b"end"]


def echo(incoming: Observable[bytes]) -> Observable[bytes]:
    return incoming


@pytest.mark.parametrize("options", [{}, {"compress": True}, {"max_buffered": 10}], ids=str)
async def test_both_sides(options: Any) -> None:
    """Messages of many frames, and frames of many messages, come whole and in order on either side."""
    options = {"codec": Packets, **options}
    connecting = {**options, "reconnect": rxws.Backoff(), "max_buffered": 2**20}
    async with (
        serving(rxws.websocket(**options)(echo)) as server,
        rxws.connect(server.url, **connecting) as socket,
    ):
        for message in MESSAGES:
            socket.outgoing.on_next(message)
        async with asyncio.timeout(10):
            assert [await socket.receive() for _ in MESSAGES] == MESSAGES
        assert socket.stats.sent == socket.stats.received == len(MESSAGES)


@pytest.mark.parametrize("cut", [1, 7, 10_000])
async def test_reader_that_takes_one_at_a_time(cut: int) -> None:
    """Each is read when it is asked for, with pings and pongs between, and the end behind the last one."""

    @rxws.websocket(codec=Packets, heartbeat=5)
    async def slow(socket: rxws.WebSocket[bytes, bytes]) -> AsyncIterator[bytes]:
        async for message in socket:
            if len(message) > 1:
                await asyncio.sleep(0.001)
            yield message

    data, got = packed(*MESSAGES), b""
    async with serving(slow) as server, aiohttp.ClientSession() as session, session.ws_connect(server.url) as ws:
        for at in range(0, len(data), cut):
            await ws.send_bytes(data[at : at + cut])
            await (ws.ping() if at // cut % 2 else ws.pong())
        async with asyncio.timeout(10):
            while len(got) < len(data):
                got += await ws.receive_bytes()
    assert got == data


async def test_peer_that_closes_behind_a_frame() -> None:
    """The close behind a frame of many messages waits for the reader, and ends the socket behind the last one."""
    read: list[bytes] = []
    over: asyncio.Future[rxws.Close] = asyncio.get_running_loop().create_future()

    @rxws.websocket(codec=Packets)
    async def handler(socket: rxws.WebSocket[bytes, bytes]) -> None:
        async for message in socket:
            read.append(message)
            await asyncio.sleep(0.001)
        over.set_result(await socket.closed)

    async with serving(handler) as server, aiohttp.ClientSession() as session, session.ws_connect(server.url) as ws:
        await ws.send_bytes(packed(*MESSAGES))
        await ws.close(code=4001)
        assert await asyncio.wait_for(over, 10) == rxws.Close(4001)
    assert read == MESSAGES


async def test_others_have_their_turn() -> None:
    """A frame of very many messages does not keep the event loop."""

    class Many(Packets):
        def messages(self, data: str | bytes) -> Iterator[bytes]:
            for _ in range(20_000):
                yield b"x"

    turns, most = 0, 0
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @rxws.websocket(codec=Many)
    def handler(incoming: Observable[bytes]) -> Any:
        seen: dict[int, int] = {}

        def take(number: int) -> None:
            nonlocal most
            seen[turns] = seen.get(turns, 0) + 1
            most = max(most, seen[turns])
            if number == 19_999:
                done.set_result(None)

        return incoming.pipe(ops.scan(lambda count, _: count + 1, -1)).subscribe(take)

    async def turn() -> None:
        nonlocal turns
        while not done.done():
            turns += 1
            await asyncio.sleep(0)

    async with serving(handler) as server, aiohttp.ClientSession() as session, session.ws_connect(server.url) as ws:
        await ws.send_bytes(b"go")
        async with asyncio.timeout(20):
            await turn()
    assert most <= 600


async def test_factory_that_fails_on_a_server(caplog: pytest.LogCaptureFixture) -> None:
    """It is a 500, before anything is a WebSocket; on `attach` the caller gets it."""

    def broken() -> Packets:
        raise LookupError("no key")

    attached: list[BaseException] = []

    async def attach(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        try:
            rxws.attach(ws, codec=broken)
        except LookupError as error:
            attached.append(error)
        return ws

    async with serving(rxws.websocket(codec=broken)(lambda incoming: incoming)) as server:
        with pytest.raises(rxws.ConnectError) as refused:
            await rxws.connect(server.url)
    assert refused.value.status == 500
    assert "no key" in caplog.text
    caplog.clear()
    async with serving(attach) as server, rxws.connect(server.url, codec=Packets) as socket:
        await ended(socket)
    assert list(map(repr, attached)) == ["LookupError('no key')"]


async def test_factory_is_asked_for_sockets_alone() -> None:
    """Beyond `max_connections` nothing is made, and a factory that fails takes no place."""
    made: list[Packets] = []

    def make() -> Packets:
        made.append(Packets())
        if len(made) == 1:
            raise LookupError("no key")
        return made[-1]

    async with serving(rxws.websocket(codec=make)(lambda incoming: incoming), max_connections=1) as server:
        with pytest.raises(rxws.ConnectError) as failed:
            await rxws.connect(server.url)
        async with rxws.connect(server.url, codec=Packets) as socket:
            with pytest.raises(rxws.ConnectError) as refused:
                await rxws.connect(server.url)
            socket.outgoing.on_next(b"echo")
            assert await socket.receive() == b"echo"
    assert (failed.value.status, refused.value.status) == (500, 503)
    assert len(made) == 2


async def test_factory_that_fails_on_a_client() -> None:
    """The connection is dropped, and the attempt raises."""
    left: asyncio.Queue[int] = asyncio.Queue()

    async def wait(request: web.Request) -> web.StreamResponse:
        async with rxws.accept(request, codec=Packets) as socket:
            left.put_nowait((await socket.closed).code)
        return socket.response

    def broken() -> Packets:
        raise LookupError("no key")

    async with serving(wait) as server:
        with pytest.raises(LookupError, match="no key"):
            await rxws.connect(server.url, codec=broken)
        assert await asyncio.wait_for(left.get(), 5) == 1006


async def test_attach() -> None:
    """A WebSocket of somebody else's gets a codec of its own."""

    async def handler(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        socket = rxws.attach(ws, codec=Packets)
        socket.incoming.subscribe(socket.outgoing)
        await socket.closed
        return ws

    async with serving(handler) as server, rxws.connect(server.url, codec=Packets) as socket:
        socket.outgoing.on_next(b"hello")
        assert await socket.receive() == b"hello"


async def test_feed(caplog: pytest.LogCaptureFixture) -> None:
    """A feed has a codec for each of its connections."""
    made: list[Packets] = []

    def make() -> Packets:
        made.append(Packets())
        return made[-1]

    @rxws.websocket(codec=Packets)
    async def ticks(socket: rxws.WebSocket[bytes, bytes]) -> AsyncIterator[bytes]:
        yield b"tick"
        await socket.closed

    caplog.set_level(logging.ERROR)
    async with serving(ticks) as server:
        feed = rxws.feed(server.url, codec=make)
        for _ in range(2):
            assert await feed.pipe(ops.first()) == b"tick"
    assert len(made) == 2
