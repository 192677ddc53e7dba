"""What a connection costs that does nothing: the server's memory before and after, and how fast they connect.

`python -m benchmarks.idle PEER CONNECTIONS` prints it as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop
from picows import WSListener, ws_connect

from benchmarks.compare import Peer, running


def resident(pid: int) -> int:
    """Bytes of a process that are in memory, as the kernel counts them."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Rss:"))


async def connect(url: str, pid: int, connections: int) -> dict[str, float]:
    kept = [await ws_connect(WSListener, url) for _ in range(100)]  # what the first ones load is nobody's cost
    await asyncio.sleep(0.5)
    before, began = resident(pid), time.perf_counter()
    for _ in range(0, connections, 50):
        kept += await asyncio.gather(*(ws_connect(WSListener, url) for _ in range(50)))
    seconds = time.perf_counter() - began
    await asyncio.sleep(1)
    return {"bytes": (resident(pid) - before) / connections, "connects": connections / seconds}


def measure(peer: Peer, connections: int) -> dict[str, float]:
    with running(peer) as (port, pid):
        return uvloop.run(connect(f"ws://127.0.0.1:{port}/echo", pid, connections))


if __name__ == "__main__":
    print(json.dumps(measure(Peer(sys.argv[1]), int(sys.argv[2]))))
