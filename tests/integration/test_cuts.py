"""A thousand seeded cuts under load: nothing is lost unreported, nothing comes twice, order is kept, nothing leaks."""

import asyncio
import gc
import os
import random
from typing import Any

import pytest
from aiohttp import web

import rxws
from tests.integration.proxy import Fault, proxying
from tests.integration.server import running

CUTS = 1000
MAX_REPORTED = 2**20 // 64
BOTH_LOOPS = True


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def alive() -> int:
    """Objects that are alive, but for the test's own notes: tuples of ints are not tracked."""
    gc.collect()
    return len(gc.get_objects())


def faults(seed: int, number: int) -> list[Fault]:
    """Breaks in the handshake, in the first frames, after many."""
    choose = random.Random(seed)
    found = []
    for _ in range(number):
        how = choose.choice(["cut", "reset"])
        side = choose.choice(["up", "down"])
        after = choose.choice([choose.randint(1, 400), choose.randint(200, 3000), choose.randint(2000, 30_000)])
        found.append(Fault(how, after, side))  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("seed", [1])
async def test_a_thousand_cuts_lose_nothing_that_is_not_reported(seed: int) -> None:
    received: list[int] = []
    sessions = 0

    @rxws.websocket(codec=rxws.json)
    def serve(incoming: Any, outgoing: Any) -> None:
        """Note what comes; push a numbered feed as fast as it is read."""
        nonlocal sessions
        sessions += 1
        session, feed = sessions, iter(range(10**9))

        def take(number: int) -> None:
            received.append(number)
            for _ in range(2):
                outgoing.on_next([session, next(feed)])

        incoming.subscribe(take)

    app = web.Application()
    app.router.add_get("/", serve)
    rxws.setup(app)
    async with running(app) as server, proxying(server.port) as proxy:
        proxy.faults.extend(faults(seed, CUTS))
        pushed: list[tuple[int, int]] = []
        undelivered: list[int] = []
        sent = 0
        backoff = rxws.Backoff(initial=0.0005, maximum=0.0005)
        before_fds, before_tasks, objects = descriptors(), len(asyncio.all_tasks()), 0
        async with rxws.connect(proxy.url, reconnect=backoff, codec=rxws.json) as socket:
            socket.incoming.subscribe(lambda item: pushed.append((item[0], item[1])))
            socket.undelivered.subscribe(undelivered.append)
            socket.errors.subscribe(lambda error: None)
            dropped = []
            socket.dropped.subscribe(dropped.append)
            async with asyncio.timeout(150):
                while proxy.connections <= CUTS:
                    for _ in range(20):
                        if socket.stats.buffered < 500:
                            socket.outgoing.on_next(sent)
                            sent += 1
                    await asyncio.sleep(0.0005)
                    if not objects and proxy.connections > CUTS // 4:
                        objects = alive()
            tasks = len(asyncio.all_tasks())
            grown = alive() - objects

        assert proxy.connections > CUTS
        assert sessions > CUTS // 4, "most breaks have to come after the handshake"
        assert len(received) == len(set(received)), "something came twice"
        assert received == sorted(received), "order was not kept"
        lost = set(range(sent)) - set(received)
        assert lost <= set(undelivered), f"lost and not reported: {sorted(lost - set(undelivered))[:10]}"
        assert dropped == []
        assert len(undelivered) == len(set(undelivered))
        assert len(received) > sent // 4
        assert pushed == sorted(set(pushed)), "the feed came twice or out of order"
        kept = 2 * len(undelivered[-MAX_REPORTED:])  # what `undelivered` keeps for late subscribers
        assert grown < 5000 + kept, "objects are left behind"
        assert tasks < before_tasks + 20
        await asyncio.sleep(0.1)
        gc.collect()
        assert descriptors() <= before_fds + 2
