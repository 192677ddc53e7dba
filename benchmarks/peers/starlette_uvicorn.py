"""Starlette on uvicorn, with its default WebSocket implementation."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from benchmarks.peers.common import Total, publishing, step

NAME = "Starlette on uvicorn"


async def echo(ws: WebSocket) -> None:
    await ws.accept()
    try:
        while True:
            await ws.send_text(step(await ws.receive_text()))
    except WebSocketDisconnect:
        pass


async def ticks(ws: WebSocket) -> None:
    await ws.accept()
    total = Total()
    try:
        while True:
            if answer := total.take(await ws.receive_text()):
                await ws.send_text(answer)
    except WebSocketDisconnect:
        pass


members: set[WebSocket] = set()


async def room(ws: WebSocket) -> None:
    await ws.accept()
    members.add(ws)
    try:
        while True:
            await publishing(await ws.receive_text(), publish)
    except WebSocketDisconnect:
        members.discard(ws)


async def publish(text: str, burst: int) -> None:
    for _ in range(burst):
        for ws in tuple(members):
            await ws.send_text(text)
    await asyncio.sleep(0)


async def serve() -> int:
    return serve_endpoints({"/echo": echo, "/ticks": ticks, "/room": room})


def serve_endpoints(endpoints: dict[str, Any]) -> int:
    """Serve on a free port, without end, and give the port."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=8192)
    app = Starlette(routes=[WebSocketRoute(path, endpoint) for path, endpoint in endpoints.items()])
    config = uvicorn.Config(
        app, log_level="error", ws_per_message_deflate=False, ws_max_size=2**24, loop="none", lifespan="off"
    )
    running.append(asyncio.ensure_future(uvicorn.Server(config).serve(sockets=[sock])))
    return sock.getsockname()[1]


running: list[asyncio.Future[None]] = []
