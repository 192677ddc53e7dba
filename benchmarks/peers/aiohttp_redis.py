"""What one writes by hand: a channel of Redis, one task that reads it, and a loop over the sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os

from aiohttp import web
from redis.asyncio import Redis

from benchmarks.peers.common import listen

redis = Redis.from_url(os.environ.get("BROKER") or "redis://localhost", decode_responses=True)
members: set[web.WebSocketResponse] = set()


async def room(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(compress=False)
    await ws.prepare(request)
    members.add(ws)
    try:
        async for message in ws:
            await redis.publish("room.tea", message.data)
    finally:
        members.discard(ws)
    return ws


async def notify_from() -> None:
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe("room.tea")
        async for message in pubsub.listen():
            if message["type"] == "message":
                for ws in tuple(members):
                    with contextlib.suppress(ConnectionError):
                        await ws.send_str(message["data"])


async def serve() -> int:
    app = web.Application()
    app.router.add_get("/room", room)
    app["reader"] = asyncio.create_task(notify_from())
    return await listen(app)
