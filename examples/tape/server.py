"""A tape of trades, for clients that come back: they say where they were, and get what they missed, or are told.

    python examples/tape/server.py            # then open http://localhost:8080

What one process keeps ends with it: kill it and start it again, and the page shows a gap. Over NATS the page misses
nothing, whichever server it comes back to:

    nats-server -js
    python examples/tape/market.py nats://localhost:4222
    TOPICS=nats://localhost:4222 python examples/tape/server.py
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import reactivex
from aiohttp import web
from market import SECONDS, trades
from reactivex import Observable
from reactivex import operators as ops
from reactivex.scheduler.eventloop import AsyncIOScheduler

import rxws
from rxws.topics import Gap, Message

PAGE = Path(__file__).with_name("page.html")
URL = os.environ.get("TOPICS", "memory://")
topics = rxws.topics(URL, max_messages=10_000)
routes = web.RouteTableDef()


@routes.get("/tape")
@rxws.websocket(codec=rxws.json)
def tape(request: web.Request) -> Observable[Any]:
    messages = topics["trades"].messages
    since = request.query.get("since")
    try:
        found = messages.history(since=since) if since else messages.latest()
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from error
    return found.pipe(ops.map(as_json))


def trade_of(pair: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    return pair[1]


def as_json(item: Message[Any] | Gap) -> Any:
    if isinstance(item, Gap):
        return {"gap": str(item)}
    return {"position": item.position, "trade": item.value}


@routes.get("/")
async def page(request: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGE)


async def running_topics(app: web.Application) -> AsyncIterator[None]:
    async with topics:
        if URL == "memory://":  # where nobody else can publish
            clock = reactivex.interval(SECONDS, scheduler=AsyncIOScheduler(asyncio.get_running_loop()))
            market = clock.pipe(ops.zip_with_iterable(trades()), ops.map(trade_of)).subscribe(topics["trades"])
            yield
            market.dispose()
        else:
            yield


def make_app() -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    app.cleanup_ctx.append(running_topics)
    rxws.setup(app)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
