"""Readers in a process of their own, pinned to another core, a thread each: `reader.py` reads what to read as JSON.

A reader is a plain socket with the kernel's default buffers, which takes bytes at a rate and answers each ping when it
has come to it, as a library does whose program reads so slowly. It notes how old each message is when it has all of it.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

CORE = 1
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
SIP = 0.02
"""Seconds' worth of bytes in one read."""
STAMP = slice(6, 24)
PING, CLOSE = 9, 8


@dataclass
class Task:
    """What a reader does: its address, and its rates, each a pair: bytes a second, seconds."""

    port: int
    path: str
    phases: list[tuple[float, float]]
    tls: bool = False


@dataclass
class Seen:
    """What it saw."""

    began: float = 0.0
    messages: list[tuple[float, float]] = field(default_factory=list)
    """Seconds from the beginning at which it had each, and how old that was."""
    bytes: int = 0
    pings: int = 0
    closed: int | None = None
    failed: str | None = None


class Frames:
    """The frames of a server, from bytes."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        buffer, found, start = self._data, [], 0
        buffer += data
        while len(buffer) - start >= 2:
            length, header = buffer[start + 1], 2
            if length == 126:
                header = 4
            elif length == 127:
                header = 10
            if len(buffer) - start < header:
                break
            if header == 4:
                (length,) = struct.unpack_from("!H", buffer, start + 2)
            elif header == 10:
                (length,) = struct.unpack_from("!Q", buffer, start + 2)
            end = start + header + length
            if len(buffer) < end:
                break
            found.append((buffer[start] & 15, bytes(buffer[start + header : end])))
            start = end
        del buffer[:start]
        return found


def connected(task: Task) -> socket.socket:
    sock: socket.socket = socket.create_connection(("127.0.0.1", task.port), timeout=10)
    if task.tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        sock = context.wrap_socket(sock)
    sock.sendall(HANDSHAKE.format(path=task.path).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    if b" 101 " not in head:
        raise RuntimeError(head.decode())
    sock.settimeout(0.5)
    return sock


def read(task: Task, seen: Seen) -> None:
    with connected(task) as sock:
        frames = Frames()
        began = seen.began = free = end = time.monotonic()
        for rate, seconds in task.phases:
            end += seconds
            sip = min(max(int(rate * SIP), 64), 65536)
            while (now := time.monotonic()) < end:
                if free > now:
                    time.sleep(free - now)
                try:
                    data = sock.recv(sip)
                except TimeoutError:
                    continue
                if not data:
                    return
                now = time.monotonic()
                free = max(free, now - SIP) + len(data) / rate
                seen.bytes += len(data)
                for opcode, payload in frames.feed(data):
                    if opcode < 3:
                        seen.messages.append((now - began, now - float(payload[STAMP])))
                    elif opcode == PING:
                        seen.pings += 1
                        sock.sendall(bytes([0x8A, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
                    elif opcode == CLOSE:
                        seen.closed = int.from_bytes(payload[:2])
                        return


def run(task: Task, seen: Seen) -> None:
    try:
        read(task, seen)
    except (OSError, RuntimeError) as error:
        seen.failed = repr(error)


def main() -> None:
    tasks: list[Any] = [Task(**task) for task in json.load(sys.stdin)]
    all_seen = [Seen() for _ in tasks]
    threads = [threading.Thread(target=run, args=pair) for pair in zip(tasks, all_seen, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump([vars(seen) for seen in all_seen], sys.stdout)


if __name__ == "__main__":
    os.sched_setaffinity(0, {CORE})
    sys.setswitchinterval(0.0005)
    main()
