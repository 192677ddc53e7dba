"""rxws: the same as pipelines."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from reactivex import Observable, Subject
from reactivex import operators as ops

import rxws
from benchmarks.peers.common import Tick, listen, publishing, step

NAME = "rxws"


def echo(incoming: Observable[Any]) -> Observable[Any]:
    return incoming.pipe(ops.map(step))


@rxws.websocket(codec=rxws.json)
def ticks(incoming: Observable[Any]) -> Observable[Any]:
    return incoming.pipe(
        ops.map(lambda fields: Tick(**fields)),
        ops.filter(lambda tick: tick.volume > 0),
        ops.scan(lambda total, tick: (tick.symbol, total[1] + tick.price * tick.volume), ("", 0.0)),
        ops.map(lambda total: {"symbol": total[0], "total": total[1]}),
    )


news: Subject[str] = Subject()


def room(incoming: Observable[Any]) -> Observable[str]:
    incoming.subscribe(lambda order: asyncio.ensure_future(publishing(order, publish)))
    return news


async def publish(text: str, burst: int) -> None:
    for _ in range(burst):
        news.on_next(text)
    await asyncio.sleep(0)


async def serve() -> int:
    app = web.Application()
    app.router.add_get("/ticks", ticks)
    contexts = rxws.Deflate(outgoing_context=True, incoming_context=True)
    for where, compress in (("", False), ("/deflate", True), ("/context", contexts)):
        app.router.add_get(f"{where}/echo", rxws.websocket(max_msg_size=2**24, compress=compress)(echo))
        app.router.add_get(f"{where}/room", rxws.websocket(compress=compress)(room))
    rxws.setup(app)
    return await listen(app)
