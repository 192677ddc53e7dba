"""rxws in Starlette on uvicorn: the pipelines of `rxws_pipeline`."""

from __future__ import annotations

import rxws
import rxws.asgi
from benchmarks.peers.rxws_pipeline import echo, room, ticks
from benchmarks.peers.starlette_uvicorn import serve_endpoints
from rxws.testing.memory import undecorated

NAME = "rxws in Starlette on uvicorn"


async def serve() -> int:
    on_ticks, options = undecorated(ticks, {})
    return serve_endpoints(
        {
            "/echo": rxws.asgi.websocket(max_msg_size=2**24)(echo),
            "/ticks": rxws.asgi.websocket(**options)(on_ticks),
            "/room": rxws.asgi.websocket(room),
        }
    )
