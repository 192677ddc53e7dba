"""A client of the tape that comes back to where it was: the URL of each attempt says the position.

    python examples/tape/client.py ws://localhost:8080/tape

`url` is a function, called for every attempt; so is the choice among several servers, if there are some.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable
from itertools import cycle
from typing import Any

from yarl import URL

import rxws


async def follow(urls: list[str], show: Callable[[Any], object]) -> None:
    servers, position = cycle(urls), ""

    def url() -> URL:
        return URL(next(servers)).update_query(since=position)

    def take(message: Any) -> None:
        nonlocal position
        position = message.get("position", position)
        show(message)

    async with rxws.connect(url, codec=rxws.json, reconnect=rxws.Backoff(maximum=2)) as socket:
        socket.states.subscribe(lambda state: print(state, file=sys.stderr))
        socket.incoming.subscribe(take)
        await socket.closed


def show(message: Any) -> None:
    match message:
        case {"trade": {"number": number, "symbol": symbol, "price": price, "lots": lots}}:
            print(f"{number:6} {symbol:4} {price:8.2f} x {lots}", flush=True)
        case {"gap": why}:
            print(f"  GAP: {why}", flush=True)
        case _:
            pass


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(follow(sys.argv[1:], show))
