"""A WebSocket client that may misbehave: frames by hand over a TCP connection."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0


def frame(opcode: int, data: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    mask = os.urandom(4)
    first = (0x80 if fin else 0) | rsv | opcode
    if len(data) < 126:
        header = bytes((first, 0x80 | len(data)))
    elif len(data) < 65536:
        header = struct.pack("!BBH", first, 0x80 | 126, len(data))
    else:
        header = struct.pack("!BBQ", first, 0x80 | 127, len(data))
    return header + mask + masked(data, mask)


def masked(data: bytes, mask: bytes) -> bytes:
    size = len(data)
    keys = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(keys, "big")).to_bytes(size, "big")


class Raw:
    """One connection after its handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, opcode: int, data: bytes = b"", *, fin: bool = True, rsv: int = 0) -> None:
        self.writer.write(frame(opcode, data, fin=fin, rsv=rsv))

    def send_close(self, code: int | None = 1000, reason: bytes = b"") -> None:
        self.send(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)

    async def receive(self) -> tuple[int, bytes]:
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
        return first & 0xF, await self.reader.readexactly(size)

    async def receive_close(self) -> tuple[int, str]:
        """Skip to the close frame."""
        async with asyncio.timeout(10):
            while True:
                opcode, data = await self.receive()
                if opcode == CLOSE:
                    return struct.unpack("!H", data[:2])[0], data[2:].decode()

    def reset(self) -> None:
        """Drop the connection with an RST."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@asynccontextmanager
async def raw(
    port: int, path: str = "/", *, headers: str = "", early: bytes = b"", receive_buffer: int | None = None
) -> AsyncIterator[Raw]:
    """Connect, shake hands, and yield the connection; a small `receive_buffer` makes stalling quick.

    What is `early` goes out with the request.
    """
    sock = socket.socket()
    sock.setblocking(False)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=2**16 if receive_buffer is None else 1024)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n".encode()
        + early
    )
    try:
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101"), answer
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)
