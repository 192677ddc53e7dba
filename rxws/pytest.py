"""A plugin for pytest, for those who ask for it: `pytest_plugins = ["rxws.pytest"]` in the topmost `conftest.py`.

Where `assert run(...) == "..."` fails, it shows both marble diagrams, one above the other, and marks where they differ.
There are two fixtures, for tests that any plugin runs on asyncio: pytest-asyncio, pytest-aiohttp, anyio's.

`rxws_serve(handler, **options)` is `rxws.testing.serve`, and ends what is left of its sockets after the test.

`await rxws_connect(place, path="/", **options)` is `rxws.connect` to a handler, an aiohttp application, or a
`TestServer` or `TestClient` of aiohttp's, on a real connection; sockets and servers end after the test.

What a test opens ends in the test's event loop, whichever that is, before the test's function returns. What another
fixture opens ends behind that fixture, in the event loop that it used.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import rxws
from rxws.core.handler import OPTIONS
from rxws.testing import Marbles, MemoryWire, serve

Serve = Callable[..., tuple[rxws.WebSocket[Any, Any], MemoryWire]]
ConnectFixture = Callable[..., Awaitable[rxws.ClientWebSocket[Any, Any]]]


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Show both diagrams; of several peers, those that differ."""
    if op != "==":
        return None
    if isinstance(left, Marbles):
        return ["the marbles are not as expected", *left.difference(right).splitlines()]
    if isinstance(right, Marbles):
        return pytest_assertrepr_compare(op, right, left)
    if isinstance(left, dict) and isinstance(right, dict):
        return _compare_each(cast("dict[object, object]", left), cast("dict[object, object]", right))
    return None


def _compare_each(left: dict[object, object], right: dict[object, object]) -> list[str] | None:
    """Show the diagrams of each peer that differ; other values need not be comparable."""
    shown: list[str] = []
    for name in filter(right.__contains__, left):
        one, other = left[name], right[name]
        if (isinstance(one, Marbles) or isinstance(other, Marbles)) and one == other:
            continue
        if lines := pytest_assertrepr_compare("==", one, other):
            shown += [f"{name}: {lines[0]}", *lines[1:]]
    return shown or None


class Opened:
    """What a test, and the fixtures that it uses, have opened, by event loop."""

    def __init__(self, item: Any) -> None:
        self._stacks: dict[tuple[asyncio.AbstractEventLoop, bool], AsyncExitStack] = {}
        self._keepers: dict[asyncio.Task[None], asyncio.AbstractEventLoop] = {}
        self._in_test: asyncio.AbstractEventLoop | None = None
        test = item.obj
        if inspect.iscoroutinefunction(test):
            item.obj = self._ending(test)

    def _ending(self, test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Make a test end, before its event loop does, what it has opened."""

        @functools.wraps(test)
        async def run(*args: Any, **kwargs: Any) -> None:
            self._in_test = _running_loop()
            try:
                await test(*args, **kwargs)
            finally:
                stack = self._stacks.pop((self._in_test, True), None)
                self._in_test = None
                if stack is not None:
                    await stack.aclose()

        return run

    def stack(self) -> AsyncExitStack:
        """Give what ends the things of the event loop that runs; raises `RuntimeError` if that is not asyncio's."""
        loop = _running_loop()
        at = loop, loop is self._in_test
        stack = self._stacks.get(at)
        if stack is None:
            stack = self._stacks[at] = AsyncExitStack()
            if loop is not self._in_test:
                self._keepers[loop.create_task(_keep(stack), name="rxws pytest")] = loop
        return stack

    def end(self) -> None:
        """End what other fixtures have opened, unless their event loops have ended, and that with them."""
        for keeper, loop in self._keepers.items():
            keeper.cancel()
            if not loop.is_closed() and not loop.is_running():
                loop.run_until_complete(asyncio.wait({keeper}))


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "rxws_serve and rxws_connect are for 'async def' tests on asyncio's event loop: mark the test with "
            "@pytest.mark.asyncio, or let anyio's plugin use its backend 'asyncio'"
        ) from None


async def _keep(stack: AsyncExitStack) -> None:
    """End it when this is cancelled, by its caller or with the event loop."""
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await stack.aclose()


@pytest.fixture
def rxws_opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """What is to end with the test."""
    opened = Opened(request.node)
    yield opened
    opened.end()


@pytest.fixture
def rxws_serve(rxws_opened: Opened) -> Serve:
    """`rxws.testing.serve`, for sockets that end with the test."""

    def begin(handler: Callable[..., Any], **options: Any) -> tuple[rxws.WebSocket[Any, Any], MemoryWire]:
        stack = rxws_opened.stack()
        socket, peer = serve(handler, **options)
        stack.push_async_callback(asyncio.sleep, 0)
        stack.callback(socket._life.abort)  # pyright: ignore[reportPrivateUsage]
        return socket, peer

    return begin


@pytest.fixture
def rxws_connect(rxws_opened: Opened) -> ConnectFixture:
    """`rxws.connect` to what a test serves, for sockets and servers that end with it."""

    async def connect(place: Any, path: str = "/", **options: Any) -> rxws.ClientWebSocket[Any, Any]:
        stack = rxws_opened.stack()
        server = await _server(stack, place, path)
        return await stack.enter_async_context(rxws.connect(server.make_url(path), **options))

    return connect


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
