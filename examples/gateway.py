"""Two gateways: one upstream for all browsers, a filter for each, an outage told to all; or an upstream for each.

    python examples/gateway.py                              # with an exchange of its own, that breaks every few seconds
    python examples/gateway.py wss://example.com/ticks      # a real feed
    python -m websockets "ws://localhost:8080/prices?symbol=EURUSD"
    python -m websockets ws://localhost:8080/relay

`rxws.feed` is one connection for all browsers: the first one opens it, the last one that leaves closes it. A browser
that reads too slowly gets the newest price of each symbol, and slows nobody. If the exchange ends for good, the
browsers' sockets close: with 1000 after a goodbye, else with its code, or 1011.

`/relay` opens an upstream for each browser, which gets everything: one that reads slowly slows its own upstream. A
close passes both ways, with its code and reason: 1012, Breakdown, here.
"""

import os
import random
import sys
from typing import Any

import reactivex
from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops

import rxws

Tick = dict[str, Any]
PORT = int(os.environ.get("PORT", "8080"))


def quote(number: int) -> Tick:
    return {"symbol": ("EURUSD", "USDJPY")[number % 2], "price": round(random.gauss(100, 1), 2)}


@rxws.websocket(codec=rxws.json)
def exchange() -> Observable[Tick]:
    """The upstream: prices of two symbols, and a breakdown after three seconds."""
    prices = reactivex.interval(0.1).pipe(ops.map(quote))
    breakdown = reactivex.timer(3).pipe(ops.flat_map(lambda _: reactivex.throw(rxws.Close(1012, "Breakdown"))))
    return prices.pipe(ops.merge(breakdown))


def outage(state: rxws.Connecting | rxws.Open | rxws.Waiting | rxws.Closed) -> Tick:
    return {"symbol": None, "upstream": isinstance(state, rxws.Open)}


def make_app(url: str) -> web.Application:
    feed = rxws.feed(url, codec=rxws.json, reconnect=rxws.Backoff(maximum=5))
    upstream: Observable[Tick] = feed.states.pipe(ops.map(outage), ops.distinct_until_changed())

    @rxws.websocket(codec=rxws.json, overflow=rxws.latest_by(lambda message: message["symbol"]))
    def prices(request: web.Request) -> Observable[Tick]:
        symbol = request.query.get("symbol")

        def is_wanted(tick: Tick) -> bool:
            return symbol in (None, tick["symbol"])

        return reactivex.merge(upstream, feed.pipe(ops.filter(is_wanted)))

    @rxws.websocket
    async def relay(incoming: Observable[str | bytes]) -> Observable[str | bytes]:
        own = await rxws.connect(url)
        incoming.subscribe(own.outgoing)
        return own.incoming

    app = web.Application()
    app.router.add_get("/prices", prices)
    app.router.add_get("/relay", relay)
    app.router.add_get("/exchange", exchange)
    rxws.setup(app)
    return app


if __name__ == "__main__":
    url = sys.argv[1] if len(sys.argv) > 1 else f"ws://127.0.0.1:{PORT}/exchange"
    web.run_app(make_app(url), host="127.0.0.1", port=PORT)
