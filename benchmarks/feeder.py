"""A feed that always has more to say, in a process of its own: JSON ticks of 205 bytes, as fast as they are read.

It prints its port, and runs until it is told to stop.
"""

from __future__ import annotations

import asyncio
import os

import uvloop

from benchmarks.load import CORE
from benchmarks.peers.common import messages
from benchmarks.peers.floor import answer

AT_ONCE = 64 * 1024


def ticks() -> bytes:
    """Make the frames that are sent again and again."""
    texts = [f'{text[:-1]},"trader":"N71"}}'.encode() for text in messages("tick")]
    frames = b"".join(b"\x81\x7e" + len(text).to_bytes(2, "big") + text for text in texts)
    return frames * (AT_ONCE // len(frames))


class Feeder(asyncio.Protocol):
    """Answers the handshake, and sends while the kernel takes it."""

    frames = ticks()
    head = b""
    full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(high=1)

    def data_received(self, data: bytes) -> None:
        if self.head.endswith(b"\r\n\r\n"):  # a pong or a close: nothing is answered
            return
        self.head += data
        if self.head.endswith(b"\r\n\r\n"):
            self.transport.write(answer(self.head.split(b"\r\n")))
            self.go_on()

    def go_on(self) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(self.frames)
        if not self.full:
            asyncio.get_running_loop().call_soon(self.resume_writing)

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self.go_on()


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Feeder, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    os.sched_setaffinity(0, {CORE})
    uvloop.run(main())
