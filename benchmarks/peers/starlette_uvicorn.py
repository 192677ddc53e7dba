"""Starlette on uvicorn, with its default WebSocket implementation."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from benchmarks.peers.common import step

NAME = "Starlette on uvicorn"


async def echo(ws: WebSocket) -> None:
    await ws.accept()
    try:
        while True:
            await ws.send_text(step(await ws.receive_text()))
    except WebSocketDisconnect:
        pass


async def serve() -> int:
    sock = socket.create_server(("127.0.0.1", 0), backlog=8192)
    app = Starlette(routes=[WebSocketRoute("/echo", echo)])
    config = uvicorn.Config(
        app, log_level="error", ws_per_message_deflate=False, ws_max_size=2**24, loop="none", lifespan="off"
    )
    serve.task = asyncio.ensure_future(uvicorn.Server(config).serve(sockets=[sock]))  # type: ignore[attr-defined]
    return sock.getsockname()[1]
