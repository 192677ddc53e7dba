"""Serving an application on the fastest event loop there is."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from rxws.aiohttp_wire import bound_first_request


def run(app: web.Application, *, keepalive_timeout: float = 20.0, **options: Any) -> None:
    """Serve an application until it is interrupted: aiohttp's `run_app`, on uvloop's event loop where it is installed.

    `keepalive_timeout` is the seconds within which a new connection must have sent its whole request, and one that has
    been answered its next: a peer that dribbles headers is dropped then. aiohttp's own default is up to an hour. Behind
    a proxy that keeps its connections, choose more than the proxy does.

    The other `options` are those of `run_app`: `host`, `port`, `path`, `sock`, `ssl_context`, `access_log` and so on.
    uvloop comes with the extra `fast`: `pip install "rxws[fast]"`. Raises what `run_app` raises, `OSError` for a port
    in use, say.
    """
    bound_first_request(app, keepalive_timeout)
    loop = new_event_loop()
    try:
        web.run_app(app, loop=loop, keepalive_timeout=keepalive_timeout, **options)
    finally:
        if not loop.is_closed():
            loop.close()


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Make an event loop of uvloop's, or asyncio's where that is not installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
