"""What the peers share: the work itself, so that only the library differs."""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import cycle
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


SYMBOLS = ("EURUSD", "GBPUSD", "USDJPY", "AUDCAD", "NZDCHF", "EURGBP", "EURJPY", "CADCHF")


def messages(kind: str) -> list[str]:
    """Make messages as they are in production, each another one: a `table` of 1.1 kB, a `tick` of 200 bytes or 60."""
    source = random.Random(1)

    def price() -> float:
        return round(source.uniform(1.07, 1.08), 5)

    def quote() -> dict[str, Any]:
        volume = source.randrange(10**6)
        return {"symbol": source.choice(SYMBOLS), "bid": price(), "ask": price(), "volume": volume}

    def make(number: int) -> Any:
        time = 1764445521123 + 250 * number
        if kind == "table":
            return {"type": "table", "time": time, "rows": [{**quote(), "open": True} for _ in range(14)]}
        if kind == "tick":
            more = {"sequence": 81723 + number, "venue": "XLON", "flags": ["open", "firm"], "session": "europe"}
            return {"type": "tick", **quote(), "time": time, **more, "currency": "JPY"}
        return {"s": source.choice(SYMBOLS), "b": price(), "a": price(), "t": time}

    return [json.dumps(make(number), separators=(",", ":")) for number in range(64)]


async def publishing(order: str, publish: Callable[[str, int], Awaitable[Any]]) -> None:
    """Carry out an order of the load's: `publish BYTES TIMES BURST` sends to all members, or `publish KIND ...`."""
    _, size, times, burst = order.split()
    texts = cycle(["x" * int(size)] if size.isdigit() else messages(size))
    for _ in range(int(times)):
        await publish(next(texts), int(burst))


async def listen(app: web.Application) -> int:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=8192).start()
    return runner.addresses[0][1]


def why_not(module: str) -> str | None:
    """Tell why a peer that not every system has cannot run here, if it cannot."""
    try:
        importlib.import_module(module)
    except Exception as error:
        return f"`import {module}`: {error}"
    return None
