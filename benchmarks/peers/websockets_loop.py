"""websockets: `async for message in connection: await connection.send(...)`, and its own broadcast."""

from __future__ import annotations

import asyncio
from typing import Any

import websockets

from benchmarks.peers.common import Total, publishing, step

NAME = "websockets"
members: set[Any] = set()


async def handle(connection: Any) -> None:
    if connection.request.path.endswith("/room"):
        members.add(connection)
        async for message in connection:
            await publishing(message, publish)
        members.discard(connection)
    elif connection.request.path.startswith("/ticks"):
        total = Total()
        async for message in connection:
            if answer := total.take(message):
                await connection.send(answer)
    else:
        async for message in connection:
            await connection.send(step(message))


async def publish(text: str, burst: int) -> None:
    for _ in range(burst):
        websockets.broadcast(members, text)
    await asyncio.sleep(0)


async def serve() -> int:
    server = await websockets.serve(handle, "127.0.0.1", 0, max_size=2**24, backlog=8192)
    return next(iter(server.sockets)).getsockname()[1]
