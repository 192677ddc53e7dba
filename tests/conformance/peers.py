"""Peers of rxws in either role that say exactly what a test tells them, from the handshake on."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple

import rxws
from tests.fuzzing.frames import frame
from tests.integration.server import Server, serving

Role = Literal["server", "client"]
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MASK = b"mask"
DEFLATE = "permessage-deflate"


class Frame(NamedTuple):
    """A frame as it came: its first byte, whether it was masked, the bytes of its length, the payload."""

    first: int
    masked: bool
    wide: int
    data: bytes
    mask: bytes

    @property
    def opcode(self) -> int:
        return self.first & 0xF


class Peer:
    """One end of a connection after its handshake; `role` is that of rxws at the other end."""

    def __init__(self, role: Role, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        self.role = role
        self.reader = reader
        self.writer = writer
        self.head = head.decode("latin-1")
        """What rxws said in the handshake."""

    def frame(self, opcode: int, data: bytes = b"", **how: Any) -> bytes:
        """Make a frame as this end has to; `how` is what is wrong with it."""
        return frame(opcode, data, **({"mask": MASK if self.role == "server" else None} | how))

    def say(self, opcode: int, data: bytes = b"", **how: Any) -> None:
        self.writer.write(self.frame(opcode, data, **how))

    async def hear(self) -> Frame:
        async with asyncio.timeout(5):
            first, second = await self.reader.readexactly(2)
            size, wide = second & 0x7F, 0
            if size > 125:
                wide = 2 if size == 126 else 8
                size = int.from_bytes(await self.reader.readexactly(wide), "big")
            mask = await self.reader.readexactly(4) if second & 0x80 else b""
            data = await self.reader.readexactly(size)
        data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)) if mask else data
        return Frame(first, bool(mask), wide, data, mask)

    async def hear_close(self) -> tuple[int, str]:
        """Skip to the close frame."""
        while (heard := await self.hear()).opcode != 8:
            pass
        return int.from_bytes(heard.data[:2], "big"), heard.data[2:].decode()

    async def hear_end(self) -> bytes:
        """Read to the end of the connection."""
        async with asyncio.timeout(5):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


def echo(incoming: Any) -> Any:
    return incoming


def request(path: str = "/", *, without: str = "", also: str = "") -> bytes:
    """Make a right request but for the header that is left out, and the lines that are put in."""
    lines = [
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(b'0123456789abcdef').decode()}",
        "Sec-WebSocket-Version: 13",
    ]
    kept = [line for line in lines if not without or not line.startswith(f"{without}:")]
    return "\r\n".join([f"GET {path} HTTP/1.1", *kept, *also.splitlines(), "", ""]).encode()


@asynccontextmanager
async def asking(server: Server, asked: bytes) -> AsyncIterator[Peer]:
    """Send a request, and take the head of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(asked)
    try:
        async with asyncio.timeout(5):
            yield Peer("server", reader, writer, await reader.readuntil(b"\r\n\r\n"))
    finally:
        writer.transport.abort()


class Answering:
    """A server by hand; `answer` makes the lines of its answers from the key, `requests` are those that came."""

    def __init__(self, answer: Callable[[bytes], str], behind: bytes) -> None:
        self.url = ""
        self.requests: list[str] = []
        self.peers: asyncio.Queue[Peer] = asyncio.Queue()
        self._answer = answer
        self._behind = behind
        self._writers: list[asyncio.StreamWriter] = []

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            answer = ""
            while " 101 " not in answer:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head.decode())
                answer = self._answer(head)
                writer.write(answer.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + self._behind)
            self.peers.put_nowait(Peer("client", reader, writer, head))

    def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


def key_of(head: bytes) -> bytes:
    return next(line[19:].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))


def accept_of(head: bytes) -> str:
    return base64.b64encode(hashlib.sha1(key_of(head) + MAGIC).digest()).decode()


def upgrade(head: bytes, *, without: str = "", also: str = "", status: str = "HTTP/1.1 101 Switching Protocols") -> str:
    """Make a right answer but for the header that is left out, and the lines that are put in."""
    lines = ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {accept_of(head)}"]
    kept = [line for line in lines if not without or not line.startswith(f"{without}:")]
    return "\n".join([status, *kept, *also.splitlines()])


def upgraded(head: bytes, *, also: str = "") -> bytes:
    """Make the bytes of a right answer, with the lines that are put in."""
    return f"{upgrade(head, also=also)}\n\n".replace("\n", "\r\n").encode("latin-1")


@asynccontextmanager
async def answering(
    answer: Callable[[bytes], str] = upgrade, *, ssl: Any = None, behind: bytes = b""
) -> AsyncIterator[Answering]:
    """Serve by hand; what is `behind` an answer comes with it."""
    server = Answering(answer, behind)
    listener = await asyncio.start_server(server.meet, "127.0.0.1", 0, ssl=ssl)
    port = listener.sockets[0].getsockname()[1]
    server.url = f"ws://127.0.0.1:{port}/" if ssl is None else f"wss://localhost:{port}/"
    try:
        yield server
    finally:
        listener.close()
        server.close()
        await asyncio.sleep(0)


@asynccontextmanager
async def meeting(
    role: Role, handler: Any = echo, *, extension: str = "", **options: Any
) -> AsyncIterator[tuple[rxws.WebSocket[Any, Any], Peer]]:
    """Connect rxws in a role, its pipeline that of `handler`, with a peer by hand; `extension` is what is agreed."""
    also = f"Sec-WebSocket-Extensions: {extension}" if extension else ""
    options = ({"compress": True} if extension else {}) | options
    if role == "server":
        async with (
            serving(rxws.websocket(**options)(handler)) as server,
            asking(server, request(also=also)) as peer,
        ):
            assert peer.head.startswith("HTTP/1.1 101"), peer.head
            while not server.sockets:
                await asyncio.sleep(0)
            yield server.sockets[0], peer
    else:
        async with (
            answering(lambda head: upgrade(head, also=also)) as server,
            rxws.connect(server.url, **options) as socket,
        ):
            handler(socket.incoming).subscribe(socket.outgoing)
            try:
                yield socket, await server.peers.get()
            finally:
                server.close()  # or the client would wait for its close frame to be answered
