"""A plugin for pytest, for those who ask for it: `pytest_plugins = ["rxws.pytest"]` in the topmost `conftest.py`.

Where `assert run(...) == "..."` fails, it shows both marble diagrams, one above the other, and marks where they differ.
With pytest-asyncio there are two fixtures:

`rxws_serve(handler, **options)` is `rxws.testing.serve`, and ends what is left of its sockets after the test.

`await rxws_connect(place, path="/", **options)` is `rxws.connect` to a handler, an aiohttp application, or a
`TestServer` or `TestClient` of aiohttp's, on a real connection; sockets and servers end after the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, cast

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import rxws
from rxws.core.handler import OPTIONS
from rxws.testing import Marbles, MemoryWire, serve

Serve = Callable[..., tuple[rxws.WebSocket[Any, Any], MemoryWire]]
ConnectFixture = Callable[..., Awaitable[rxws.ClientWebSocket[Any, Any]]]


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Show both diagrams."""
    if op != "==":
        return None
    if isinstance(left, Marbles):
        return ["the marbles are not as expected", *left.difference(right).splitlines()]
    if isinstance(right, Marbles):
        return pytest_assertrepr_compare(op, right, left)
    return None


async def served() -> AsyncIterator[Serve]:
    """`rxws.testing.serve`, for sockets that end with the test."""
    sockets: list[rxws.WebSocket[Any, Any]] = []

    def begin(handler: Callable[..., Any], **options: Any) -> tuple[rxws.WebSocket[Any, Any], MemoryWire]:
        socket, peer = serve(handler, **options)
        sockets.append(socket)
        return socket, peer

    yield begin
    for socket in sockets:
        socket._life.abort()  # pyright: ignore[reportPrivateUsage]
    await asyncio.sleep(0)


async def connected() -> AsyncIterator[ConnectFixture]:
    """`rxws.connect` to what a test serves, for sockets and servers that end with it."""
    async with AsyncExitStack() as stack:

        async def connect(place: Any, path: str = "/", **options: Any) -> rxws.ClientWebSocket[Any, Any]:
            server = await _server(stack, place, path)
            return await stack.enter_async_context(rxws.connect(server.make_url(path), **options))

        yield connect


async def _server(stack: AsyncExitStack, place: Any, path: str) -> Any:
    """Find or start the server of a test."""
    if isinstance(place, (TestServer, TestClient)):
        return cast("Any", place)
    if not isinstance(place, web.Application):
        handler = place if hasattr(place, OPTIONS) else rxws.websocket(place)
        place = web.Application()
        place.router.add_get(path.partition("?")[0], handler)
        rxws.setup(place)
    server = TestServer(place)
    await stack.enter_async_context(server)
    return server


with suppress(ImportError):
    import pytest_asyncio

    rxws_serve = pytest_asyncio.fixture(served)
    rxws_connect = pytest_asyncio.fixture(connected)
