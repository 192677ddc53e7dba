"""A peer that sends as much as it can, in a process of its own: `python -m tests.integration.flood PORT OPCODE BYTES`.

Continuations belong to a message that never ends. With `early` it does not wait for the handshake's answer. With
`deflated` the messages are so long when they are inflated, and a thousandth of it on the wire.

It stops when the connection ends, or after ten seconds; with `again` it comes back each time, until it is killed.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator

from tests.integration.raw import CONTINUATION, TEXT, frame

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
DEFLATING = HANDSHAKE[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
SECONDS = 10
PAUSE = 0.1
"""Seconds until it comes back."""


def swallow(peer: socket.socket) -> None:
    """Read what the server answers, so that it is not held; what is sent after it has ended fails."""
    with contextlib.suppress(OSError):
        while peer.recv(2**20):
            pass
        peer.shutdown(socket.SHUT_RDWR)


def deflated(opcode: int, data: bytes) -> bytes:
    """Make the frame of a message that takes nothing over from others (RFC 7692, section 7.2.1)."""
    deflate = zlib.compressobj(wbits=-15)
    return frame(opcode, (deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4], rsv=0x40)


def flood(port: int, opcode: int, size: int, *, early: bool, deflate: bool) -> None:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(DEFLATING if deflate else HANDSHAKE)
        if not early:
            peer.recv(4096)
        swallowing = threading.Thread(target=swallow, args=(peer,))
        swallowing.start()
        if fragments := opcode == CONTINUATION:
            peer.sendall(frame(TEXT, fin=False))
        data = b"x" * size
        chunk = deflated(opcode, data) * 400 if deflate else frame(opcode, data, fin=not fragments) * 4000
        end = time.monotonic() + SECONDS
        try:
            while time.monotonic() < end:
                peer.sendall(chunk)
        finally:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
            swallowing.join()


@contextlib.contextmanager
def flooding(port: int, opcode: int, size: int, *how: str) -> Iterator[subprocess.Popen[bytes]]:
    """Flood a server until the block is left."""
    command = [sys.executable, "-m", "tests.integration.flood", str(port), str(opcode), str(size), *how]
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.kill()


if __name__ == "__main__":
    while True:
        flood(*map(int, sys.argv[1:4]), early="early" in sys.argv, deflate="deflated" in sys.argv)
        if "again" not in sys.argv:
            break
        time.sleep(PAUSE)
