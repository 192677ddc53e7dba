"""Peers that say what they are told, over real connections: a client of an rxws server, a server of an rxws client.

The connections are Unix sockets: what is written on one end is there on the other at once, so that an example is always
the same, and what was sent before a connection breaks is never lost.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web

import rxws
from rxws.wires.aiohttp import choice
from tests.conformance.peers import upgraded
from tests.fuzzing.frames import CLOSE
from tests.streams import turns, watch

OPTIONS: dict[str, Any] = {"close_timeout": 0.05, "max_msg_size": 1000, "heartbeat": None}


class Outcome(NamedTuple):
    """What a socket made of what its peer said."""

    notifications: list[Any]
    answers: list[tuple[int, bytes]]
    stats: rxws.Stats

    @property
    def messages(self) -> list[Any]:
        return [entry[1] for entry in self.notifications if entry[0] == "incoming"]

    @property
    def errors(self) -> list[type]:
        return [type(entry[1]) for entry in self.notifications if entry[0] == "errors"]

    @property
    def close(self) -> rxws.Close:
        (close,) = (entry[1] for entry in self.notifications if entry[0] == "closed")
        return close


class Troubles(logging.Handler):
    """Notes what should never be: exceptions that reach the event loop or a library's log."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "rxws":
            self.found.append(record.getMessage())


class Peer(NamedTuple):
    """The other end of a connection, after its handshake."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Stage:
    """Opens connections between rxws and a peer, one after the other."""

    def __init__(self, folder: Path, troubles: Troubles) -> None:
        self._server, self._listener = str(folder / "server"), str(folder / "listener")
        self._troubles = troubles
        self._sockets: list[rxws.WebSocket[Any, Any]] = []
        self._peers: list[Peer] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/", rxws.websocket(**OPTIONS)(lambda incoming: incoming))
        rxws.setup(app).opened.subscribe(self._sockets.append)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.UnixSite(runner, self._server).start()
        listener = await asyncio.start_unix_server(self._answer, self._listener)
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(self._listener)) as self._session:
            yield
        listener.close()
        await runner.cleanup()

    async def play(self, wire: Any, role: str, chunks: list[bytes], end: str, last: int) -> Outcome:
        """Let a peer say `chunks` and leave in the way of `end`; tell what became of it.

        The socket closes while it hands on its message number `last`, if there is one.
        """
        before = asyncio.all_tasks()
        choice.wire_mode = wire
        async with asyncio.timeout(10):
            socket, peer = await (self._connect() if role == "server" else self._accept())
            log = watch(incoming=socket.incoming, errors=socket.errors, closed=socket.closed)
            socket.incoming.subscribe(lambda _: socket.close(4000) if socket.stats.received == last else None)
            reading = asyncio.create_task(frames(peer.reader))
            for chunk in chunks:
                if not peer.writer.transport.is_closing():
                    peer.writer.write(chunk)
                await turns(5)
            await turns(20)
            match end:
                case "end" if not peer.writer.transport.is_closing():
                    peer.writer.write_eof()
                case "abort":
                    peer.writer.transport.abort()
                case _:
                    socket.close(4000)
            await socket.closed
            answers = await reading
            peer.writer.transport.abort()
            while asyncio.all_tasks() - before:
                await asyncio.sleep(0)
        assert self._troubles.found == []
        return Outcome(log, answers, socket.stats)

    async def _connect(self) -> tuple[Any, Peer]:
        self._sockets.clear()
        peer = Peer(*await asyncio.open_unix_connection(self._server))
        peer.writer.write(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await peer.reader.readuntil(b"\r\n\r\n")
        return self._sockets[0], peer

    async def _accept(self) -> tuple[Any, Peer]:
        socket = await rxws.connect("ws://localhost/", session=self._session, **OPTIONS)
        socket.incoming.subscribe(socket.outgoing)
        return socket, self._peers.pop()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(upgraded(await reader.readuntil(b"\r\n\r\n")))
        self._peers.append(Peer(reader, writer))


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    mode, troubles = choice.wire_mode, Troubles()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.found.append(context))
    logging.getLogger().addHandler(troubles)
    one = Stage(folder, troubles)
    try:
        async with one.open():
            yield one
    finally:
        choice.wire_mode = mode
        logging.getLogger().removeHandler(troubles)


async def frames(reader: asyncio.StreamReader) -> list[tuple[int, bytes]]:
    """Read what the socket answers until the connection ends; nothing may follow a close frame."""
    found: list[tuple[int, bytes]] = []
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            first, second = await reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                size = int.from_bytes(await reader.readexactly(2), "big")
            mask = await reader.readexactly(4) if second & 0x80 else bytes(4)
            data = await reader.readexactly(size)
            assert not found or found[-1][0] != CLOSE
            found.append((first & 0xF, bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))))
    return found
