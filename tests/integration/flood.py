"""A peer that sends as much as it can, in a process of its own: `python -m tests.integration.flood PORT OPCODE BYTES`.

Continuations belong to a message that never ends.

It stops when the connection ends, or after ten seconds.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from tests.integration.raw import CONTINUATION, TEXT, frame

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
SECONDS = 10


def swallow(peer: socket.socket) -> None:
    """Read what the server answers, so that it is not held."""
    with contextlib.suppress(OSError):
        while peer.recv(2**20):
            pass
    os._exit(0)


def main(port: int, opcode: int, size: int) -> None:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as peer:
        peer.sendall(HANDSHAKE)
        threading.Thread(target=swallow, args=(peer,), daemon=True).start()
        if fragments := opcode == CONTINUATION:
            peer.sendall(frame(TEXT, fin=False))
        chunk = frame(opcode, b"x" * size, fin=not fragments) * 4000
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            peer.sendall(chunk)


@contextlib.contextmanager
def flooding(port: int, opcode: int, size: int) -> Iterator[subprocess.Popen[bytes]]:
    """Flood a server until the block is left."""
    command = [sys.executable, "-m", "tests.integration.flood", str(port), str(opcode), str(size)]
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.kill()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
