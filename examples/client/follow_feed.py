"""A feed follower: topics that are subscribed again whenever the connection comes back.

    python examples/client/follow_feed.py                       # a feed of its own, that cuts every two seconds
    python examples/client/follow_feed.py ws://localhost/feed   # any other one

`multiplex` makes an Observable of each symbol. It says "subscribe" with the first subscriber and again on every new
connection, "unsubscribe" with the last one; the pipelines behind it never notice that there was another connection.
"""

import asyncio
import random
import sys
from typing import Any

import reactivex
from aiohttp import web
from aiohttp.test_utils import TestServer
from reactivex import Observable, Subject
from reactivex import operators as ops

import rxws

CUT_AFTER = 2.0  # seconds
SYMBOLS = ("EURUSD", "USDJPY")


@rxws.websocket(codec=rxws.json)
async def feed(incoming: Observable[Any], outgoing: Subject[Any]) -> None:
    """The server: random walks of the symbols that a client subscribes to, for a short life."""
    wanted: set[str] = set()
    prices: dict[str, float] = dict.fromkeys(SYMBOLS, 100.0)
    incoming.subscribe(
        lambda message: (wanted.add if message["op"] == "subscribe" else wanted.discard)(message["symbol"])
    )
    for _ in range(int(CUT_AFTER / 0.05)):
        await asyncio.sleep(0.05)
        for symbol in wanted:
            prices[symbol] += random.uniform(-1, 1)
            outgoing.on_next({"symbol": symbol, "price": round(prices[symbol], 2)})
    raise rxws.Close(1012, "Service Restart")


def ticks(socket: rxws.ClientWebSocket[Any, Any], symbol: str) -> Observable[Any]:
    return socket.multiplex(
        subscribe={"op": "subscribe", "symbol": symbol},
        unsubscribe={"op": "unsubscribe", "symbol": symbol},
        matches=lambda message: message["symbol"] == symbol,
    )


def mean(ticks: list[Any]) -> tuple[str, float]:
    return ticks[0]["symbol"], round(sum(tick["price"] for tick in ticks) / len(ticks), 2)


async def follow(url: str, seconds: float) -> None:
    async with rxws.connect(url, codec=rxws.json, reconnect=rxws.Backoff()) as socket:
        socket.states.subscribe(lambda state: print(state))
        means = [ticks(socket, symbol).pipe(ops.buffer_with_count(10), ops.map(mean)) for symbol in SYMBOLS]
        reactivex.merge(*means).subscribe(lambda pair: print(*pair))
        await asyncio.sleep(seconds)


async def main() -> None:
    if len(sys.argv) > 1:
        await follow(sys.argv[1], seconds=60)
    else:
        app = web.Application()
        app.router.add_get("/feed", feed)
        rxws.setup(app)
        async with TestServer(app) as server:
            await follow(str(server.make_url("/feed")), seconds=6)


if __name__ == "__main__":
    asyncio.run(main())
