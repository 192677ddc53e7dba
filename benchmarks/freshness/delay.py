"""A long line: netem's in a network namespace where the kernel has it, else a process that passes bytes on later."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import cast

import uvloop

ROUND_TRIP = 0.05
BANDWIDTH = 12_500_000
"""Bytes a second each way: 100 Mbit/s."""
QUEUE = 262_144
"""Bytes that wait at most before the line."""


@contextlib.contextmanager
def namespace() -> Iterator[list[str] | None]:
    """Give what a command begins with that shall run where the loopback device is such a line; `None` without netem."""
    netem = f"tc qdisc add dev lo root netem delay {ROUND_TRIP * 500:g}ms rate {BANDWIDTH * 8}bit limit 100000"
    with subprocess.Popen(
        ["unshare", "-n", "sh", "-c", f"ip link set lo up && {netem} && echo ready && exec sleep 600"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            ready = process.stdout.readline() == "ready\n"
            yield ["nsenter", "-n", "-t", str(process.pid)] if ready else None
        finally:
            process.kill()


@contextlib.contextmanager
def relay(target: int) -> Iterator[int]:
    """Run a relay to a port of this machine, in a process of its own, and give its port."""
    command = [sys.executable, "-m", "benchmarks.freshness.delay", str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


class Direction(asyncio.Protocol):
    """What comes from one side goes to the other one when it has passed the line."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.other: Direction | None = None
        self.transport: asyncio.Transport | None = None
        self.on_line: deque[tuple[float, bytes]] = deque()
        self.free = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.paused = self.blocked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self.free = max(self.free, now) + len(data) / BANDWIDTH
        self.on_line.append((self.free + ROUND_TRIP / 2, data))
        self.look()
        if self.timer is None:
            self.deliver()

    def look(self) -> None:
        """Read on if the queue before the line is short and its far end is not blocked for longer than the line is."""
        assert self.transport is not None
        full = self.free - time.monotonic() > QUEUE / BANDWIDTH or self.blocked
        if full != self.paused:
            self.paused = full
            (self.transport.pause_reading if full else self.transport.resume_reading)()

    def deliver(self) -> None:
        self.timer = None
        assert self.other is not None
        now = time.monotonic()
        while self.on_line and self.on_line[0][0] <= now and not self.blocked and self.other.transport is not None:
            self.other.transport.write(self.on_line.popleft()[1])
        self.look()
        if not self.blocked and (self.paused or self.on_line):
            due = self.on_line[0][0] if self.on_line else 0.0
            self.timer = self.loop.call_at(self.loop.time() + max(due - now, 0.0005), self.deliver)

    def pause_writing(self) -> None:
        assert self.other is not None
        self.other.blocked = True

    def resume_writing(self) -> None:
        assert self.other is not None
        self.other.blocked = False
        if self.other.timer is None:
            self.other.deliver()

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.abort()
        if self.timer is not None:
            self.timer.cancel()


async def main(target: int) -> None:
    loop = asyncio.get_running_loop()

    class Near(Direction):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            far = Direction()
            self.other, far.other = far, self
            self.dialing = loop.create_task(loop.create_connection(lambda: far, "127.0.0.1", target))
            self.dialing.add_done_callback(lambda _: self.deliver())

    server = await loop.create_server(Near, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
