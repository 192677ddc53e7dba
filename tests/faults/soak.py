"""Minutes under mixed faults, and what has grown: `python -m tests.faults.soak [MINUTES]`, or `make soak`.

One process serves and plays all peers. Connections come and go in every way of `tests.faults.ways`, fifty at a time
over real sockets, as many more in memory as make 100,000; sixteen clients stay all the time and get their answers,
eight come back through a proxy that breaks what passes. Every tenth of the time it prints what it measured, and at the
end it fails if anything grew. Ten minutes, or what a busy machine needs for so many connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import uvloop

import rxws
from tests.faults.measures import descriptors, memory, objects
from tests.faults.ways import come_and_go, come_and_go_in_memory, everything
from tests.integration.proxy import Fault, proxying
from tests.integration.server import Server

TOTAL = 100_000
AT_ONCE = 50
BATCH = 100
MIB = 1024 * 1024


@dataclass
class Sample:
    at: float
    connections: int
    tasks: int
    descriptors: int
    resident: int
    objects: int

    def __str__(self) -> str:
        return (
            f"{self.at:6.0f} s {self.connections:8,} connections {self.tasks:5} tasks {self.descriptors:4} descriptors "
            f"{self.resident / MIB:6.1f} MiB {self.objects:8,} objects"
        )


class Soak:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.ended = Counter[str]()
        self.echoed = 0
        self.paused = asyncio.Event()
        self.paused.set()
        self.busy = 0

    async def real(self, server: Server, seed: int) -> None:
        choose = random.Random(seed)
        while True:
            await self.paused.wait()
            self.busy += 1
            try:
                await come_and_go(server, choose.randrange(10_000))
            finally:
                self.busy -= 1
            self.ended["over real sockets"] += 1
            server.sockets.clear()

    async def in_memory(self) -> None:
        """As many as make the total, in step with the time that is over."""
        began = time.monotonic()
        for number in itertools.count():
            await self.paused.wait()
            share = (time.monotonic() - began) / self.seconds
            while self.ended.total() >= TOTAL * share and self.ended.total() < TOTAL * 1.05:
                await asyncio.sleep(0.01)
                share = (time.monotonic() - began) / self.seconds
            await asyncio.gather(*(come_and_go_in_memory(number + way) for way in range(BATCH)))
            self.ended["in memory"] += BATCH
            await asyncio.sleep(0.001)

    async def top_up(self) -> None:
        """Make the total, on a machine that was too busy to, while real connections wait."""
        self.paused.clear()
        while self.ended.total() < TOTAL * min(1, self.seconds / 600):
            await asyncio.gather(*map(come_and_go_in_memory, range(BATCH)))
            self.ended["in memory"] += BATCH

    async def steady(self, port: int) -> None:
        """A client that never leaves, and gets an answer to all it sends."""
        async with rxws.connect(f"ws://127.0.0.1:{port}/echo", open_timeout=60) as client:
            for number in itertools.count():
                text = f"message {number}"
                await client.request(text, matches=lambda m, text=text: m == text, timeout=60)
                self.echoed += 1
                await asyncio.sleep(0.05)

    async def comes_back(self, url: str) -> None:
        """A client whose connections break."""
        backoff = rxws.Backoff(initial=0.05, maximum=0.2)
        async with rxws.connect(url + "echo", reconnect=backoff, heartbeat=1, offline="drop") as client:
            client.errors.subscribe()
            client.incoming.subscribe()
            for number in itertools.count():
                client.outgoing.on_next(f"message {number} {'x' * 500}")
                await asyncio.sleep(0.02)

    async def sample(self, began: float, server: Server) -> Sample:
        """Let all that comes and goes be gone, then measure."""
        self.paused.clear()
        while self.busy:
            await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        server.sockets.clear()  # the test's own list
        found = Sample(
            time.monotonic() - began,
            self.ended.total(),
            len(asyncio.all_tasks()),
            descriptors(),
            memory(),
            objects(),
        )
        self.paused.set()
        return found

    async def run(self) -> list[Sample]:
        """Soak, and give the samples."""
        began = time.monotonic()
        async with everything() as server, proxying(server.port) as proxy, asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.steady(server.port)) for _ in range(16)]
            tasks += [group.create_task(self.comes_back(proxy.url)) for _ in range(8)]
            await asyncio.sleep(2)
            tasks += [group.create_task(self.real(server, seed)) for seed in range(AT_ONCE)]
            tasks += [group.create_task(self.in_memory()), group.create_task(break_things(proxy))]
            samples: list[Sample] = []
            try:
                for part in range(1, 11):
                    await asyncio.sleep(max(0.0, began + self.seconds * part / 10 - time.monotonic()))
                    if part == 10:
                        await self.top_up()
                    samples.append(await self.sample(began, server))
                    print(samples[-1], flush=True)
            finally:
                for task in tasks:
                    task.cancel()
            assert server.hub is not None
            self.codes = dict(sorted(server.hub.closed_total.items()))
            self.proxied = proxy.connections
        return samples


async def break_things(proxy: Any) -> None:
    """Let every connection through the proxy break, sooner or later."""
    choose = random.Random(1)
    while True:
        while len(proxy.faults) < 20:
            how = choose.choice(["cut", "reset"])
            proxy.faults.append(Fault(how, choose.randint(1, 20_000), choose.choice(["up", "down"])))
        await asyncio.sleep(0.1)


def flat(samples: list[Sample]) -> list[str]:
    """Name what is more at the end than it ever was in the first third."""
    limits = {"tasks": 20, "descriptors": 20, "resident": 16 * MIB, "objects": 5000}
    grown: list[str] = []
    for name, limit in limits.items():
        before, after = max(getattr(sample, name) for sample in samples[:4]), getattr(samples[-1], name)
        if after - before > limit:
            grown.append(f"{name} grew from {before:,} to {after:,}")
    return grown


def main(minutes: float) -> int:
    logging.getLogger("rxws").setLevel(logging.CRITICAL)
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    print(
        f"{minutes:g} minutes, {rxws.wire_mode} wire, uvloop, Python {sys.version.split()[0]}, process {os.getpid()}",
        flush=True,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, contextlib.suppress(asyncio.CancelledError):
        soak = Soak(minutes * 60)
        samples = runner.run(soak.run())
    print(
        f"ended: {dict(soak.ended)}; answers to those that stayed: {soak.echoed:,}; through the proxy: {soak.proxied:,}"
    )
    print(f"close codes: {soak.codes}")
    grown = flat(samples)
    print("\n".join(grown) or "flat")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10))
