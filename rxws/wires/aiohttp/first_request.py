"""A deadline for a connection's first request, which aiohttp before 3.14 does not have."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from aiohttp import web


def bound_first_request(app: web.Application, seconds: float) -> None:
    """Drop the connections to an application whose first request is not whole after so many seconds."""
    make_server = cast("Any", app)._make_handler

    def make(**options: Any) -> Any:
        server: Any = make_server(**options)
        connected = server.connection_made

        def connection_made(handler: Any, transport: asyncio.Transport) -> None:
            connected(handler, transport)
            asyncio.get_running_loop().call_later(seconds, _drop, handler)

        server.connection_made = connection_made
        return server

    vars(app)["_make_handler"] = make


def _drop(handler: Any) -> None:
    if getattr(handler, "_request_count", 1) == 0:
        handler.force_close()
