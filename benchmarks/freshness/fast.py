"""Readers as fast as there are, in a process pinned to another core: `fast.py PORT PATH PID READERS WARM_UP SECONDS`.

Prints as JSON how many messages came to all of them in SECONDS, and the CPU seconds of the server meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

import uvloop
from picows import WSFrame, WSListener, WSTransport, ws_connect

CORE = 1


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far: nanoseconds, not clock ticks."""
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0]) / 1e9


class Reader(WSListener):
    """Counts the messages of all; picows answers the pings."""

    messages = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        Reader.messages += frame.msg_type in (1, 2)


async def main() -> None:
    port, path, pid, readers, warm_up, seconds = sys.argv[1:]
    for _ in range(int(readers)):
        await ws_connect(Reader, f"ws://127.0.0.1:{port}{path}", max_frame_size=2**24)
    await asyncio.sleep(float(warm_up))
    began, messages, cpu = time.perf_counter(), Reader.messages, cpu_seconds(int(pid))
    await asyncio.sleep(float(seconds))
    cpu, messages = cpu_seconds(int(pid)) - cpu, Reader.messages - messages
    print(json.dumps({"messages": messages, "seconds": time.perf_counter() - began, "cpu": cpu}))


if __name__ == "__main__":
    os.sched_setaffinity(0, {CORE})
    uvloop.run(main())
