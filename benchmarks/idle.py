"""What a connection costs: the server's memory for one that does nothing, its CPU to open it, a pipeline's set-up.

`python -m benchmarks.idle PEER CONNECTIONS` prints it as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop
from picows import WSListener, ws_connect
from reactivex import operators as ops
from reactivex.subject import Subject

from benchmarks.compare import Peer, running
from benchmarks.load import cpu_seconds
from benchmarks.peers.common import step
from rxws.testing import serve


def resident(pid: int) -> int:
    """Bytes of a process that are in memory, as the kernel counts them."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Rss:"))


async def connect(url: str, pid: int, connections: int) -> dict[str, float]:
    kept = [await ws_connect(WSListener, url) for _ in range(100)]  # what the first ones load is nobody's cost
    await asyncio.sleep(0.5)
    before, began, cpu = resident(pid), time.perf_counter(), cpu_seconds(pid)
    for _ in range(0, connections, 50):
        kept += await asyncio.gather(*(ws_connect(WSListener, url) for _ in range(50)))
    seconds = time.perf_counter() - began
    await asyncio.sleep(1)
    return {
        "bytes": (resident(pid) - before) / connections,
        "connects": connections / seconds,
        "cpu": (cpu_seconds(pid) - cpu) / connections * 1e6,
    }


async def set_up(times: int = 500) -> dict[str, float]:
    """Microseconds to set up a pipeline of one operator, without a handshake: RxPY's part alone, and all of rxws's."""
    pipeline = ops.map(step)

    def compose() -> None:
        Subject[str]().pipe(pipeline).subscribe(lambda message: None)

    def serve_one() -> None:
        serve(lambda incoming: incoming.pipe(pipeline), heartbeat=None)

    found: dict[str, float] = {}
    for name, action in (("RxPY", compose), ("rxws", serve_one)):
        best = float("inf")
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(times):
                action()
            best = min(best, time.perf_counter() - began)
            await asyncio.sleep(0)
        found[name] = best / times * 1e6
    return found


def measure(peer: Peer, connections: int) -> dict[str, float]:
    with running(peer) as (port, pid):
        return uvloop.run(connect(f"ws://127.0.0.1:{port}/echo", pid, connections))


if __name__ == "__main__":
    print(json.dumps(measure(Peer(sys.argv[1]), int(sys.argv[2]))))
