"""A peer in a process of its own, pinned to a core: prints its port, and runs until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import sys
from collections.abc import Coroutine
from typing import Any

CORE = 0


async def main(peer: str) -> None:
    port = await importlib.import_module(f"benchmarks.peers.{peer}").serve()
    gc.freeze()
    print(port, flush=True)
    await asyncio.Event().wait()


def run(loop: str, work: Coroutine[Any, Any, None]) -> None:
    """Run it on an event loop."""
    if loop == "uvloop":
        import uvloop

        uvloop.run(work)
    else:
        asyncio.run(work)


if __name__ == "__main__":
    peer, loop = sys.argv[1:3]
    os.sched_setaffinity(0, {CORE})
    run(loop, main(peer))
