"""What one writes by hand: `async for message in ws: await ws.send_str(...)`."""

from __future__ import annotations

import asyncio

from aiohttp import WSMsgType, web

from benchmarks.peers.common import Total, listen, publishing, step

NAME = "aiohttp, by hand"


async def echo(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(max_msg_size=2**24, compress=request.path.startswith("/deflate"))
    await ws.prepare(request)
    async for message in ws:
        if message.type is WSMsgType.TEXT:
            await ws.send_str(step(message.data))
    return ws


async def ticks(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(compress=False)
    await ws.prepare(request)
    total = Total()
    async for message in ws:
        if answer := total.take(message.data):
            await ws.send_str(answer)
    return ws


members: set[web.WebSocketResponse] = set()


async def room(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(compress=request.path.startswith("/deflate"))
    await ws.prepare(request)
    members.add(ws)
    try:
        async for message in ws:
            await publishing(message.data, publish)
    finally:
        members.discard(ws)
    return ws


async def publish(text: str, burst: int) -> None:
    for _ in range(burst):
        for ws in tuple(members):
            await ws.send_str(text)
    await asyncio.sleep(0)


async def serve() -> int:
    app = web.Application()
    app.router.add_get("/echo", echo)
    app.router.add_get("/ticks", ticks)
    app.router.add_get("/room", room)
    app.router.add_get("/deflate/echo", echo)
    app.router.add_get("/deflate/room", room)
    return await listen(app)


if __name__ == "__main__":
    asyncio.run(serve())
