"""A raw WebSocket peer for the findings: it sends frames as told, and shows every frame that it gets.

It knows no WebSocket library, so what it shows is what was on the wire. Python 3.11 or later, nothing to install.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from importlib.metadata import version

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
NAMES = {0: "continuation", TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}
KEY = base64.b64encode(b"sixteen bytes...").decode()
MASK = b"\x01\x02\x03\x04"
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, masked: bool = False) -> bytes:
    """Return one frame; a client masks its frames."""
    size = len(payload)
    bit = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", opcode | (0x80 if fin else 0), bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", opcode | (0x80 if fin else 0), bit | 126, size)
    else:
        head = struct.pack("!BBQ", opcode | (0x80 if fin else 0), bit | 127, size)
    return head + MASK + unmasked(payload, MASK) if masked else head + payload


def close(code: int | None = None, reason: str = "", *, masked: bool = False) -> bytes:
    """Return a close frame, an empty one without a code."""
    payload = b"" if code is None else struct.pack("!H", code) + reason.encode()
    return frame(CLOSE, payload, masked=masked)


def unmasked(payload: bytes, key: bytes) -> bytes:
    """Return the payload with the mask applied, or taken off."""
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def shown(first: int, payload: bytes) -> str:
    """Return a frame as a line to print."""
    name = NAMES.get(first & 15, f"opcode {first & 15}")
    if name == "close":
        if not payload:
            return "close without a code"
        return f"close {struct.unpack('!H', payload[:2])[0]} {payload[2:].decode()}".rstrip()
    return f"{name} {payload[:40]!r}" + ("" if first & 0x80 else ", more follows")


class Peer:
    """One end of a connection after the handshake: `send` bytes, `next` frame as a line, `seen` so far."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.seen: list[str] = []

    async def send(self, *frames: bytes) -> None:
        """Write all frames at once, so that they arrive in one segment if they are small."""
        self.writer.write(b"".join(frames))
        await self.writer.drain()

    async def next(self, seconds: float = 10) -> str:
        """Return the next frame, or "end" or "reset" once the connection has ended, or "silence" after `seconds`."""
        try:
            line = await asyncio.wait_for(self._next(), seconds)
        except TimeoutError:
            line = "silence"
        except asyncio.IncompleteReadError:
            line = "end"
        except ConnectionError:
            line = "reset"
        self.seen.append(line)
        return line

    async def _next(self) -> str:
        first, size = await self.reader.readexactly(2)
        length = size & 127
        if length == 126:
            (length,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
        key = await self.reader.readexactly(4) if size & 0x80 else b"\0\0\0\0"
        return shown(first, unmasked(await self.reader.readexactly(length), key))

    async def rest(self, seconds: float = 10) -> list[str]:
        """Return the frames until the connection ends, and how it does."""
        lines = [await self.next(seconds)]
        while lines[-1] not in ("end", "reset", "silence"):
            lines.append(await self.next(seconds))
        return lines


class Server:
    """A server on a port of its own: `async with Server(script) as server`, at `server.url`.

    `script` gets the `Peer` of each connection. With `behind`, these bytes follow the answer to the handshake in the
    same segment. `done` has what the script of each connection returned.
    """

    def __init__(
        self, script: Callable[[Peer], Awaitable[object]], *, behind: bytes = b"", headers: str = "", answer: str = ""
    ) -> None:
        self.script = script
        self.behind = behind
        self.headers = headers
        self.answer = answer
        self.requests: list[str] = []
        self.done: asyncio.Queue[object] = asyncio.Queue()
        self.tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Server:
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(request)
            fields = {
                line.split(":", 1)[0].lower(): line.split(":", 1)[1].strip()
                for line in request.split("\r\n")[1:]
                if line
            }
            digest = hashlib.sha1((fields["sec-websocket-key"] + GUID).encode()).digest()
            accepted = (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n{self.headers}\r\n"
            )
            writer.write((self.answer or accepted).encode() + self.behind)
            self.done.put_nowait(await self.script(Peer(reader, writer)))
        except Exception as error:
            self.done.put_nowait(error)
        finally:
            writer.close()


async def connect(port: int, path: str = "/", headers: str = "") -> tuple[str, Peer]:
    """Return the status line of the handshake, and the client's end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
        ).encode()
    )
    try:
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    except TimeoutError:
        answer = b"silence"
    return answer.split(b"\r\n")[0].decode(), Peer(reader, writer)


def free_port() -> int:
    """Return a port that is free now, for a program that cannot choose one itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(*command: str, port: int) -> Generator[subprocess.Popen[str]]:
    """Run a server until the block ends; the block begins when its port accepts connections."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{command[0]} does not listen on port {port}") from None
                time.sleep(0.05)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(2)
        with suppress(ProcessLookupError):  # and the workers that stayed
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def versions(*packages: str) -> None:
    """Print the versions that this run uses."""
    print(f"Python {sys.version.split()[0]}", *(f"{name} {version(name)}" for name in packages), sep=", ")


def compare(seen: object, recorded: object) -> None:
    """End the program: 0 if what was seen is what was recorded, else 1."""
    if seen == recorded:
        print("As recorded.")
        sys.exit(0)
    print(f"The behavior has changed.\n  recorded: {recorded!r}\n  seen:     {seen!r}")
    sys.exit(1)
