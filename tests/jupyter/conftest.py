from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp import web

import rxws
import rxws.jupyter
from rxws.jupyter import Server
from tests.chromium import browser, page

__all__ = ["browser", "page"]


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Serve a handler at `/`, on a thread of its own."""
    servers: list[Server] = []

    def start(handler: Any, **options: Any) -> Server:
        app = web.Application()
        app.router.add_get("/", rxws.websocket(**options)(handler))
        rxws.setup(app)
        servers.append(rxws.jupyter.serve(app))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
