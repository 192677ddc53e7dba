"""The demo's application on ASGI: the same page, and the same socket."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import uvicorn

import rxws.asgi
from rxws.cli.demo.server import file_of, telemetry
from rxws.core.handler import OPTIONS


def make_asgi_app() -> Any:
    """Make the application; the server pings, so that there is no heartbeat of ours."""
    handler: Any = telemetry
    options: dict[str, Any] = {**getattr(handler, OPTIONS), "heartbeat": None}
    on_asgi = rxws.asgi.websocket(**options)(handler.__wrapped__)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await on_asgi(scope, receive, send)
            return
        found = file_of(scope["path"].removeprefix("/"))
        status, text, headers = (404, "", dict[str, str]()) if found is None else (200, *found)
        lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": text.encode()})

    return rxws.asgi.lifespan().around(app)


def run_on_asgi(listener: socket.socket) -> None:
    """Serve until Ctrl-C."""
    server: Any = uvicorn.Server(uvicorn.Config(make_asgi_app(), log_level="warning", timeout_graceful_shutdown=2))
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
