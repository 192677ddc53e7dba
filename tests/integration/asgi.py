"""A real ASGI server for tests: uvicorn on a free port of the loopback address, in the test's event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

import rxws
import rxws.asgi
from rxws.core.handler import OPTIONS
from rxws.testing.memory import undecorated

CLOSING = 500
"""Hundredths of a second in which connections may close: uvicorn's end fails over one that its peer is closing."""


class AsgiServer:
    """A running application; `sockets` are those that it has opened, in their order."""

    hub: rxws.Hub

    def __init__(self) -> None:
        self.runner = self
        self.sockets: list[rxws.WebSocket[Any, Any]] = []
        self.port = 0
        self._uvicorn: Any = None
        self._task: asyncio.Task[None] | None = None

    def watch(self, hub: rxws.Hub) -> None:
        """Note the sockets of an application."""
        self.hub = hub
        hub.opened.subscribe(self.sockets.append)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def start(self, app: Any, **config: Any) -> None:
        options = {"log_level": "critical", "ws": "websockets-sansio", "timeout_graceful_shutdown": 5, **config}
        self._uvicorn = InLoop(uvicorn.Config(app, port=0, **options))
        self._task = asyncio.ensure_future(self._uvicorn.serve())
        while not self._uvicorn.started:
            await asyncio.sleep(0.001)
        self.port = self._uvicorn.servers[0].sockets[0].getsockname()[1]

    async def cleanup(self) -> None:
        """End as on SIGTERM: the signal closes the sockets, and then the server goes; tests of signals send one."""
        await self.hub.shut_down()
        await self.stop()

    async def stop(self) -> None:
        """End the server."""
        for _ in range(CLOSING):
            if not any(one.transport.is_closing() for one in self._uvicorn.server_state.connections):
                break
            await asyncio.sleep(0.01)
        self._uvicorn.should_exit = True
        assert self._task is not None
        await self._task


class InLoop(uvicorn.Server):
    """A server that leaves signals to the tests, and does not look for its end ten times a second only."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        while not self.should_exit:
            await asyncio.sleep(0.01)


def moved(handler: Any) -> Any:
    """Decorate a handler of aiohttp's for ASGI; one that calls `accept` itself is an endpoint already."""
    if not hasattr(handler, OPTIONS):
        return handler
    function, options = undecorated(handler, {})
    return rxws.asgi.websocket(**options)(function)


@asynccontextmanager
async def serving_asgi(handler: Any, *, config: Any = None, **options: Any) -> AsyncIterator[AsgiServer]:
    """Serve a handler at `/` until the block is left."""
    life = rxws.asgi.lifespan(**options)
    server = AsgiServer()
    server.watch(life.hub)
    endpoint = moved(handler)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket" and endpoint is handler and not hasattr(handler, OPTIONS):
            await handler((scope, receive, send))
        else:
            await endpoint(scope, receive, send)

    await server.start(life.around(app), **(config or {}))
    try:
        yield server
    finally:
        await server.cleanup()
