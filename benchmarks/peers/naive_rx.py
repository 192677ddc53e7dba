"""RxPY glued to aiohttp the naive way: a Subject, a queue without limit, a task that writes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import WSMsgType, web
from reactivex import operators as ops
from reactivex.subject import Subject

from benchmarks.peers.common import Tick, listen, publishing, step

NAME = "RxPY on aiohttp, naive"
news: Subject[str] = Subject()


async def glue(request: web.Request, pipeline: Any) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(max_msg_size=2**24, compress=False)
    await ws.prepare(request)
    incoming: Subject[str] = Subject()
    queue: asyncio.Queue[str] = asyncio.Queue()
    subscription = pipeline(incoming).subscribe(queue.put_nowait)

    async def write() -> None:
        while True:
            await ws.send_str(await queue.get())

    writer = asyncio.create_task(write())
    try:
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                incoming.on_next(message.data)
    finally:
        subscription.dispose()
        writer.cancel()
    return ws


async def echo(request: web.Request) -> web.WebSocketResponse:
    return await glue(request, lambda incoming: incoming.pipe(ops.map(step)))


async def ticks(request: web.Request) -> web.WebSocketResponse:
    return await glue(
        request,
        lambda incoming: incoming.pipe(
            ops.map(lambda text: Tick(**json.loads(text))),
            ops.filter(lambda tick: tick.volume > 0),
            ops.scan(lambda total, tick: (tick.symbol, total[1] + tick.price * tick.volume), ("", 0.0)),
            ops.map(lambda total: json.dumps({"symbol": total[0], "total": total[1]}, separators=(",", ":"))),
        ),
    )


async def room(request: web.Request) -> web.WebSocketResponse:
    def pipeline(incoming: Any) -> Any:
        incoming.subscribe(lambda order: asyncio.ensure_future(publishing(order, publish)))
        return news

    return await glue(request, pipeline)


async def publish(text: str, burst: int) -> None:
    for _ in range(burst):
        news.on_next(text)
    await asyncio.sleep(0)


async def serve() -> int:
    app = web.Application()
    app.router.add_get("/echo", echo)
    app.router.add_get("/ticks", ticks)
    app.router.add_get("/room", room)
    return await listen(app)
