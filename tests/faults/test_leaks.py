"""Connections that ended in every way leave no task, no descriptor and no object behind."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.faults.measures import descriptors, objects
from tests.faults.ways import WAYS, come_and_go, come_and_go_in_memory, everything
from tests.integration.server import Server

BOTH_LOOPS = True
Eventually = Callable[..., Any]
ROUND = len(WAYS) + 3


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.getLogger("rxws").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("rxws").setLevel(logging.NOTSET)


async def rounds(server: Server, number: int) -> None:
    """Go through all ways, twice at once, `number` times, to the end of each."""
    for _ in range(number):
        await asyncio.gather(*(come_and_go(server, way) for way in range(2 * ROUND)))
        async with asyncio.timeout(10):
            while server.hub and len(server.hub):
                await asyncio.sleep(0.01)
        server.sockets.clear()


async def test_connections_leak_nothing(eventually: Eventually, caplog: pytest.LogCaptureFixture) -> None:
    """After hundreds of connections that ended in every way, tasks, descriptors, and memory are flat."""
    async with everything() as server:
        await rounds(server, 2)
        await asyncio.sleep(0.3)
        tasks, files, before = len(asyncio.all_tasks()), descriptors(), objects()
        await rounds(server, 4)
        await eventually(lambda: len(asyncio.all_tasks()) <= tasks and descriptors() <= files)
        await eventually(lambda: objects() - before < 8 * ROUND, every=0.3)  # not one object for each connection
        assert server.hub is not None
        assert server.hub.opened_total == sum(server.hub.closed_total.values()) > 10 * len(WAYS)
        assert set(server.hub.closed_total) >= {1000, 1002, 1005, 1006, 1007, 1008, 1009, 1011, 1013, 4001}
        assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


async def test_memory_sockets_leak_nothing() -> None:
    """After a thousand sockets in memory that ended in every way, tasks and memory are flat."""
    for number in range(200):
        await come_and_go_in_memory(number)
    tasks, before = len(asyncio.all_tasks()), objects()
    for number in range(1000):
        await come_and_go_in_memory(number)
    await asyncio.sleep(0.01)
    assert len(asyncio.all_tasks()) <= tasks
    assert objects() - before < 200
