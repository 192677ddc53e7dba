"""python-socketio: a room, and the Redis manager that its documentation has for several processes."""

from __future__ import annotations

import os
from typing import Any

import socketio
from aiohttp import web

from benchmarks.peers.common import listen

manager = socketio.AsyncRedisManager(os.environ.get("BROKER") or "redis://localhost")
sio = socketio.AsyncServer(async_mode="aiohttp", client_manager=manager)


@sio.event
async def connect(sid: str, environ: dict[str, Any]) -> None:
    await sio.enter_room(sid, "tea")


@sio.event
async def say(sid: str, text: str) -> None:
    await sio.emit("said", text, room="tea")


async def serve() -> int:
    app = web.Application()
    sio.attach(app)
    return await listen(app)
