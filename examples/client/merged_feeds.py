"""Two feeds merged: the best price of two exchanges, as long as one of them is there.

    python examples/client/merged_feeds.py

Each socket comes back by itself. What it says goes through the same operators as any Observable: `merge` joins the
feeds, `scan` keeps the newest price of each, `states` takes the price of an exchange away that is offline.
"""

import asyncio
import random
from contextlib import AsyncExitStack
from typing import Any

import reactivex
from aiohttp import web
from aiohttp.test_utils import TestServer
from reactivex import Observable
from reactivex import operators as ops

import rxws

EXCHANGES = ("north", "south")
Book = dict[str, float]
NOTHING: Book = {}


@rxws.websocket(codec=rxws.json)
def exchange() -> Observable[Any]:
    """The server: prices at random times, and a breakdown at another one."""
    prices = reactivex.timer(0.0, 0.05).pipe(ops.map(lambda _: round(random.gauss(100, 1), 2)))
    breakdown = reactivex.timer(random.uniform(0.5, 1.5)).pipe(
        ops.flat_map(lambda _: reactivex.throw(rxws.Close(1012, "Breakdown")))
    )
    return prices.pipe(ops.merge(breakdown))


def quotes(name: str, socket: rxws.ClientWebSocket[Any, Any]) -> Observable[tuple[str, float | None]]:
    """Prices of an exchange; `None` when it goes offline."""
    offline = socket.states.pipe(
        ops.filter(lambda state: isinstance(state, rxws.Waiting)),
        ops.map(lambda _: None),
    )
    return reactivex.merge(socket.incoming, offline).pipe(ops.map(lambda price: (name, price)))


def best(quotes: Observable[tuple[str, float | None]]) -> Observable[tuple[str, float] | None]:
    return quotes.pipe(ops.scan(newest, NOTHING), ops.map(cheapest), ops.distinct_until_changed())


def newest(book: Book, quote: tuple[str, float | None]) -> Book:
    name, price = quote
    rest = {other: price for other, price in book.items() if other != name}
    return rest if price is None else {**rest, name: price}


def cheapest(book: Book) -> tuple[str, float] | None:
    return min(book.items(), key=lambda item: item[1], default=None)


async def follow(urls: dict[str, str], seconds: float) -> list[Any]:
    seen: list[Any] = []
    async with AsyncExitStack() as stack:
        sockets = {
            name: await stack.enter_async_context(rxws.connect(url, codec=rxws.json, reconnect=rxws.Backoff()))
            for name, url in urls.items()
        }
        best(reactivex.merge(*(quotes(name, socket) for name, socket in sockets.items()))).subscribe(seen.append)
        await asyncio.sleep(seconds)
    return seen


async def main() -> None:
    app = web.Application()
    for name in EXCHANGES:
        app.router.add_get(f"/{name}", exchange)
    rxws.setup(app)
    async with TestServer(app) as server:
        for quote in await follow({name: str(server.make_url(f"/{name}")) for name in EXCHANGES}, seconds=3):
            print(*quote if quote else ["nobody is open"])


if __name__ == "__main__":
    asyncio.run(main())
