"""A client of the feed in a process of its own, pinned to a core.

`python -m benchmarks.follow CLIENT LOOP URL KIND SECONDS` prints what it saw as JSON: messages, seconds, and its CPU
seconds meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import sys
import time

from benchmarks.followers.common import seen
from benchmarks.load import WARM_UP
from benchmarks.serve import CORE, run


async def main(client: str, url: str, kind: str, seconds: float) -> None:
    following = asyncio.create_task(importlib.import_module(f"benchmarks.followers.{client}").follow(url, kind))
    await asyncio.sleep(WARM_UP)
    gc.freeze()
    began, before, cpu = time.perf_counter(), seen.messages, time.process_time()
    await asyncio.sleep(seconds)
    cpu, messages = time.process_time() - cpu, seen.messages - before
    print(json.dumps({"messages": messages, "seconds": time.perf_counter() - began, "cpu": cpu}), flush=True)
    if following.done():
        following.result()
        raise RuntimeError("the feed has ended")
    os._exit(0)  # nothing is closed: the feeder does not answer


if __name__ == "__main__":
    client, loop, url, kind, seconds = sys.argv[1:]
    os.sched_setaffinity(0, {CORE})
    run(loop, main(client, url, kind, float(seconds)))
