"""Clients that all come back after a restart, within a second: the server's longest turn, and when all are served.

`python -m benchmarks.restart PEER LOOP CLIENTS` prints it as JSON. The clients are as small as they can be: each sends
one message when its handshake is answered, and is served when the echo is there.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import mmap
import os
import random
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.compare import Peer, in_turn, output, server, spread
from benchmarks.load import CORE, cpu_seconds
from benchmarks.serve import CORE as SERVER_CORE
from benchmarks.serve import run

CLIENTS = 10_000
PEERS = ("aiohttp_loop", "rxws_pipeline", "naive_rx", "websockets_loop", "picows_listener")
WITHIN = 1.0
"""Seconds within which the clients come back, at random moments."""
PATIENCE = 60.0
HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MESSAGE = b"\x81\xc0" + bytes(4) + b"x" * 64
ECHO = b"\x81\x40" + b"x" * 64
LONGEST = struct.Struct("dd")
"""Seconds of the longest turn: its CPU, and by the clock."""


def watch_turns(path: str) -> None:
    """Keep the longest turn of the running event loop in a file, from now on; a turn follows on the other at once."""
    with open(path, "r+b") as file:
        seen = mmap.mmap(file.fileno(), LONGEST.size)
    loop, clock, cpu = asyncio.get_running_loop(), time.perf_counter, time.thread_time
    longest, longest_cpu, began, began_cpu = 0.0, 0.0, clock(), cpu()

    def turn() -> None:
        nonlocal longest, longest_cpu, began, began_cpu
        now, now_cpu = clock(), cpu()
        if now_cpu - began_cpu > longest_cpu or now - began > longest:
            longest, longest_cpu = max(longest, now - began), max(longest_cpu, now_cpu - began_cpu)
            LONGEST.pack_into(seen, 0, longest_cpu, longest)
        began, began_cpu = now, now_cpu
        loop.call_soon(turn)

    turn()


class Returning(asyncio.Protocol):
    """A client that comes back, and stays."""

    def __init__(self, served: asyncio.Future[None]) -> None:
        self._served = served
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        self._got += data
        if self._got.endswith(b"\r\n\r\n"):
            self._transport.write(MESSAGE)
        elif self._got.endswith(ECHO) and not self._served.done():
            self._served.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._served.done():
            self._served.set_exception(exc or ConnectionResetError("lost before the echo"))


async def come_back(port: int, pid: int, clients: int, path: str) -> dict[str, float]:
    """Let all of them come, and wait until each has its echo; give the longest turn before they leave again."""
    loop, moments = asyncio.get_running_loop(), random.Random(clients)
    began, cpu, waits = loop.time(), cpu_seconds(pid), list[float]()

    async def one(after: float) -> None:
        await asyncio.sleep(after)
        came, served = loop.time(), loop.create_future()
        await loop.create_connection(lambda: Returning(served), "127.0.0.1", port)
        await served
        waits.append(loop.time() - came)

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(one(moments.uniform(0, WITHIN)) for _ in range(clients)))
    waits.sort()
    turn, by_clock = LONGEST.unpack(Path(path).read_bytes())
    return {
        "turn": turn,
        "turn by the clock": by_clock,
        "all served": loop.time() - began,
        "median": waits[clients // 2],
        "cpu": (cpu_seconds(pid) - cpu) / clients * 1e6,
    }


async def serve(module: str, path: str) -> None:
    """Run a peer, whose turns are watched."""
    port = await importlib.import_module(f"benchmarks.peers.{module}").serve()
    gc.freeze()
    watch_turns(path)
    print(port, flush=True)
    await asyncio.Event().wait()


def measure(peer: Peer, clients: int) -> dict[str, float]:
    """Start a server, and have clients come to it, from a process of their own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "turns"
        path.write_bytes(bytes(LONGEST.size))
        with server("benchmarks.restart", "serve", peer.module, peer.loop, str(path)) as (port, pid):
            return output("benchmarks.restart", "come", str(port), str(pid), str(clients), str(path))


def restart(rounds: int, seconds: float) -> Iterator[str]:
    """Give the lines of the tables."""
    yield (
        f"\n## {CLIENTS:,} clients come back within {WITHIN:g} s after a restart\n\n"
        "Three rounds at most, each with a server that has just started."
    )
    for loop in ("asyncio", "uvloop"):
        yield f"\n### {loop}\n"
        yield "| peer | all served after, s | ratio | server CPU of one, µs | longest turn, ms of CPU | by the clock |"
        yield "|---|---:|---:|---:|---:|---:|"
        seen: dict[Peer, list[dict[str, float]]] = {Peer(module, loop): [] for module in PEERS}
        for peer in in_turn(list(seen), min(rounds, 3)):
            seen[peer].append(measure(peer, CLIENTS))
        first = statistics.median(one["all served"] for one in seen[Peer(PEERS[0], loop)])
        for peer, results in seen.items():
            served, cpu, turn, by_clock = (
                [one[what] * unit for one in results]
                for what, unit in (("all served", 1), ("cpu", 1), ("turn", 1000), ("turn by the clock", 1000))
            )
            name = importlib.import_module(f"benchmarks.peers.{peer.module}").NAME
            yield (
                f"| {name} | {spread(served, 2)} | {statistics.median(served) / first:.2f} | {spread(cpu)} | "
                f"{spread(turn)} | {spread(by_clock)} |"
            )


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command == "serve":
        os.sched_setaffinity(0, {SERVER_CORE})
        module, loop, path = rest
        run(loop, serve(module, path))
    elif command == "come":
        os.sched_setaffinity(0, {CORE})
        *numbers, path = rest
        print(json.dumps(uvloop.run(come_back(*map(int, numbers), path))))
    else:
        print(json.dumps(measure(Peer(command, rest[0]), int(rest[1]))))
