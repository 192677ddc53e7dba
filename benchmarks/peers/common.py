"""What the peers share: the work itself, so that only the library differs."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web


@dataclass(slots=True)
class Tick:
    """A typed object of the second workload."""

    symbol: str
    price: float
    volume: float


class Total:
    """The second workload by hand, for one connection."""

    def __init__(self) -> None:
        self._total = 0.0

    def take(self, text: str) -> str | None:
        """Give the answer to a message, if it deserves one."""
        tick = Tick(**json.loads(text))
        if tick.volume <= 0:
            return None
        self._total += tick.price * tick.volume
        return json.dumps({"symbol": tick.symbol, "total": self._total}, separators=(",", ":"))


def step(text: str) -> str:
    """The one operator of the first workload."""
    return text


async def publishing(order: str, publish: Callable[[str, int], Awaitable[Any]]) -> None:
    """Carry out an order of the load's: `publish BYTES TIMES BURST` sends to all members."""
    _, size, times, burst = order.split()
    text = "x" * int(size)
    for _ in range(int(times)):
        await publish(text, int(burst))


async def listen(app: web.Application) -> int:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=8192).start()
    return runner.addresses[0][1]
