"""When sockets open: few at once, many together."""

from __future__ import annotations

import asyncio
import gc
import random
from collections import Counter

import pytest

from rxws.server import openings
from rxws.server.collector import OBJECTS, Collector
from rxws.server.openings import APART, COUNTED_OVER, GATHERING, MANY_COME, OPENINGS_A_TURN, SERVED, wait_to_open
from rxws.testing import virtual_time


class Arrivals:
    """Requests, with when each came and when it opened."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.opened: list[int] = []
        self.waits: list[float] = []
        self.moments = Counter[float]()

    async def request(self, number: int = 0) -> None:
        came = self.loop.time()
        await wait_to_open()
        self.opened.append(number)
        self.moments[self.loop.time()] += 1
        self.waits.append(self.loop.time() - came)

    async def come(self, rate: float, seconds: float, seed: int = 1) -> None:
        """Come so often, whether or not others have opened, and at random."""
        moments, tasks = random.Random(seed), list[asyncio.Task[None]]()
        until = self.loop.time() + seconds
        while self.loop.time() < until:
            await asyncio.sleep(moments.expovariate(rate))
            tasks.append(asyncio.create_task(self.request()))
        await asyncio.gather(*tasks)

    async def come_again(self, seconds: float, between: float) -> None:
        """Come again each time that one has opened, after some work."""
        until = self.loop.time() + seconds
        while self.loop.time() < until:
            await self.request()
            await asyncio.sleep(between)


@virtual_time
async def test_a_crowd_opens_in_order() -> None:
    """Of a crowd, some open at once, and as many in each turn; who gives up takes nobody's place."""
    arrivals, size = Arrivals(), 10 * OPENINGS_A_TURN
    crowd = [asyncio.create_task(arrivals.request(number)) for number in range(size)]
    await asyncio.sleep(0)
    assert arrivals.opened == [*range(MANY_COME - 1)]
    crowd[MANY_COME].cancel()
    seen: list[int] = []
    for _ in range(size):
        before = len(arrivals.opened)
        await asyncio.sleep(0)
        seen.append(len(arrivals.opened) - before)
    assert arrivals.loop.time() == 0
    await asyncio.wait(crowd)
    assert arrivals.opened == [number for number in range(size) if number != MANY_COME]
    assert max(seen) == OPENINGS_A_TURN
    assert arrivals.loop.time() <= GATHERING  # for which the last ones have waited


@virtual_time
async def test_nobody_waits_while_few_come() -> None:
    arrivals = Arrivals()
    await arrivals.come(rate=0.5 * MANY_COME / COUNTED_OVER, seconds=3)
    assert len(arrivals.waits) > 500
    assert sum(wait > 0 for wait in arrivals.waits) < 0.02 * len(arrivals.waits)  # at times there are many


@virtual_time
@pytest.mark.parametrize("rate", [1000, 3000])
async def test_many_open_together(rate: float) -> None:
    """They open in batches, and none of them waits for longer than it may."""
    arrivals = Arrivals()
    await arrivals.come(rate, seconds=3)
    assert len(arrivals.waits) / len(arrivals.moments) > 3
    assert max(arrivals.waits) <= GATHERING + 1e-6


@virtual_time
@pytest.mark.parametrize("clients", [1, 2, 4, 10])
async def test_clients_that_come_again_are_not_slowed(clients: int) -> None:
    """Clients that come again as soon as they are served, of which there are few, lose little by waiting."""
    arrivals, between = Arrivals(), 0.001
    await asyncio.gather(*(arrivals.come_again(3 * APART, between) for _ in range(clients)))
    assert len(arrivals.waits) > 0.85 * clients * 3 * APART / between


@virtual_time
async def test_a_crowd_opens_together_though_one_came_by_itself() -> None:
    """That it did not pay to wait for a client that comes again and again does not count for a crowd."""
    arrivals = Arrivals()
    await arrivals.come_again(10 * COUNTED_OVER, 0.001)
    alone = len(arrivals.moments)
    await arrivals.come(3000, seconds=APART / 2)
    assert (len(arrivals.waits) - alone) / (len(arrivals.moments) - alone) > 3


@virtual_time
async def test_a_few_do_not_part_those_that_follow() -> None:
    """As many wait for each other as at first, though once fewer have come in time."""
    arrivals = Arrivals()

    async def come(size: int, between: float) -> None:
        tasks = list[asyncio.Task[None]]()
        for _ in range(size):
            tasks.append(asyncio.create_task(arrivals.request()))
            await asyncio.sleep(between)
        await asyncio.gather(*tasks)

    await come(MANY_COME - 1, 0)
    for size in (10, 3, 10):
        arrivals.moments.clear()
        await come(size, 0.0004)
        assert [*arrivals.moments.values()] == [size]
    assert arrivals.loop.time() < COUNTED_OVER
    assert max(arrivals.waits) == pytest.approx(GATHERING)


@virtual_time
async def test_it_ends_with_the_crowd() -> None:
    """When few come again, nobody waits."""
    arrivals = Arrivals()
    await arrivals.come(1000, seconds=1)
    await asyncio.gather(*(arrivals.request() for _ in range(2 * MANY_COME)))
    await asyncio.sleep(2 * COUNTED_OVER)
    arrivals.waits.clear()
    await arrivals.come(100, seconds=2)
    assert max(arrivals.waits) == 0


@virtual_time
async def test_the_collector_is_patient_with_a_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's collector runs less often while many come, and until they are served; not for a few."""
    monkeypatch.setattr(openings, "collector", Collector())  # another loop may still have its time
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    try:
        arrivals = Arrivals()
        await arrivals.come(200, 0.5)
        assert gc.get_threshold()[0] == 700
        await arrivals.come(1000, 0.5)
        assert gc.get_threshold()[0] == OBJECTS
        await asyncio.sleep(SERVED - 2 * COUNTED_OVER)
        assert gc.get_threshold()[0] == OBJECTS
        await asyncio.sleep(3 * COUNTED_OVER)
        assert gc.get_threshold()[0] == 700
    finally:
        gc.set_threshold(*before)
