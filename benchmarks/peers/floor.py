"""The floor: two system calls for each chunk, and no parsing: it answers with as many prebuilt frames as came."""

from __future__ import annotations

import asyncio
import base64
import hashlib

NAME = "floor: a bare protocol"
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(size: int) -> bytes:
    if size < 126:
        return bytes([0x81, size]) + b"x" * size
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + b"x" * size
    return b"\x81\x7f" + size.to_bytes(8, "big") + b"x" * size


def answer(lines: list[bytes]) -> bytes:
    """Make the answer to the lines of a handshake."""
    key = next(line.split(b":")[1].strip() for line in lines if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


class Floor(asyncio.BufferedProtocol):
    """Answers the handshake, then each chunk; a room's members are written to in a bare loop.

    It reads into one buffer for all: a plain `asyncio.Protocol` gets 256 KiB for each read, fresh from the kernel.
    """

    view = memoryview(bytearray(256 * 1024))
    members: set[asyncio.Transport] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.frame = b""
        self.rest = 0
        self.head = b""
        self.room = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.members.discard(self.transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.view

    def buffer_updated(self, nbytes: int) -> None:
        if not self.frame:
            self.handshake(bytes(self.view[:nbytes]))
        elif self.room:
            self.publish(bytes(self.view[:nbytes]))
        else:
            self.rest += nbytes
            number, self.rest = divmod(self.rest, self.masked)
            if number:
                self.transport.write(self.frame * number)

    def handshake(self, data: bytes) -> None:
        self.head += data
        if not self.head.endswith(b"\r\n\r\n"):
            return
        lines = self.head.split(b"\r\n")
        path = lines[0].split()[1]
        size = int(path.partition(b"?size=")[2] or 64)
        self.transport.write(answer(lines))
        self.frame = frame(size)
        self.masked = len(self.frame) + 4
        self.room = path.startswith(b"/room")
        if self.room:
            self.members.add(self.transport)

    def publish(self, data: bytes) -> None:
        mask, payload = data[2:6], data[6:]
        order = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload)).decode()
        _, size, times, burst = order.split()
        self.task = asyncio.ensure_future(self.publishing(frame(int(size)), int(times), int(burst)))

    async def publishing(self, message: bytes, times: int, burst: int) -> None:
        for _ in range(times):
            joined = message * burst
            for transport in self.members:
                transport.write(joined)
            await asyncio.sleep(0)


async def serve() -> int:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Floor, "127.0.0.1", 0, backlog=8192)
    return server.sockets[0].getsockname()[1]
