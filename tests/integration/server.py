"""A real server for tests: aiohttp on a free port of the loopback address."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trustme
from aiohttp import web

import rxws
import rxws.asgi

TRANSPORTS = ["aiohttp", "asgi"]
"""What serves handlers in modules that say `TRANSPORTS = True`: aiohttp, and uvicorn."""

_present = ["aiohttp"]


def choose(transport: str) -> None:
    """Serve handlers on one of the `TRANSPORTS` from now on."""
    _present[0] = transport


class Server:
    """A running application; `sockets` are those that it has opened, in their order."""

    def __init__(self, app: web.Application, hub: rxws.Hub | None) -> None:
        self.app = app
        self.hub = hub
        self.runner = web.AppRunner(app, shutdown_timeout=1)
        self.sockets: list[rxws.WebSocket[Any, Any]] = []
        self.port = 0
        if hub is not None:
            hub.opened.subscribe(self.sockets.append)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


def accept(request: Any, **options: Any) -> Any:
    """Open a socket on either transport."""
    return rxws.asgi.accept(*request, **options) if isinstance(request, tuple) else rxws.accept(request, **options)


@asynccontextmanager
async def serving(
    handler: Any = None, *, app: web.Application | None = None, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[Any]:
    """Serve a handler at `/`, or an application, until the block is left."""
    if _present[0] == "asgi":
        from tests.integration.asgi import serving_asgi

        assert (app, tls) == (None, None)
        async with serving_asgi(handler, **options) as on_asgi:
            yield on_asgi
        return
    application = app or web.Application()
    hub = rxws.setup(application, **options)
    if handler is not None:
        application.router.add_get("/", handler)
    async with running(application, hub, tls=tls) as server:
        yield server


@asynccontextmanager
async def running(
    app: web.Application, hub: rxws.Hub | None = None, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """Serve an application that is set up already, until the block is left."""
    server = Server(app, hub)
    await server.runner.setup()
    site = web.TCPSite(server.runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    server.port = server.runner.addresses[0][1]
    try:
        yield server
    finally:
        await server.runner.cleanup()


def certified() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Give the context of a server at `localhost` with a certificate of its own, and one that trusts it."""
    authority = trustme.CA()
    serving_context, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(serving_context)
    authority.configure_trust(trusting)
    return serving_context, trusting
