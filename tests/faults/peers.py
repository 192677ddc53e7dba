"""A server of WebSockets that does what a test says, frame by frame."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from rxws.wires.aiohttp.fast.framing import plain
from tests.conformance.peers import upgraded

Script = Callable[["Listening"], Awaitable[object]]


class Listening:
    """A server's end of one connection, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, opcode: int, data: bytes = b"") -> None:
        self.writer.write(plain(opcode, data))

    async def receive(self) -> tuple[int, bytes]:
        """Take a frame of at most 125 bytes."""
        first, second = await self.reader.readexactly(2)
        mask = await self.reader.readexactly(4)
        data = await self.reader.readexactly(second & 0x7F)
        return first & 0xF, bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


@asynccontextmanager
async def listening(script: Script, *, with_handshake: bytes = b"") -> AsyncIterator[str]:
    """Serve WebSockets by hand at the URL that is given; `with_handshake` comes in the same segment as the answer."""

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            writer.write(upgraded(await reader.readuntil(b"\r\n\r\n")) + with_handshake)
            await script(Listening(reader, writer))
        writer.transport.abort()

    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(meet(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
