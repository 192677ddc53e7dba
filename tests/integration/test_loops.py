"""Event loops that run, stop and run again, in one thread or in another: what is called in between happens then."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import uvloop

import rxws
from tests.integration.server import serving

Pair = tuple[rxws.ClientWebSocket[Any, Any], rxws.WebSocket[Any, Any]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner


@asynccontextmanager
async def pair(**options: Any) -> AsyncIterator[Pair]:
    """A client and its server's socket."""
    async with serving(rxws.websocket(lambda: None)) as server, rxws.connect(server.url, **options) as client:
        while not server.sockets:
            await asyncio.sleep(0.001)
        yield client, server.sockets[0]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("options", [{}, {"reconnect": rxws.Backoff()}], ids=["once", "comes back"])
def test_between_two_runs(runner: asyncio.Runner, options: dict[str, Any]) -> None:
    """What is sent, subscribed and closed between two runs of the loop is so in the next one."""
    stack = AsyncExitStack()
    client, peer = runner.run(stack.enter_async_context(pair(**options)))
    got, errors = list[Any](), list[Exception]()
    for socket in (client, peer):
        socket.errors.subscribe(errors.append)
        socket.incoming.subscribe(got.append)
    client.multiplex(subscribe="topic", matches=lambda message: message == "answer").subscribe(got.append)
    for number in range(100):
        client.outgoing.on_next(f"{number}")
    peer.outgoing.on_next("answer")
    runner.run(until(lambda: len(got) == 103))
    assert [message for message in got if message != "answer"] == ["topic", *(f"{number}" for number in range(100))]
    client.outgoing.on_next("last")
    client.close(4001, "ours")
    assert runner.run(until_closed(peer)) == rxws.Close(4001, "ours")
    assert (got[-1], errors) == ("last", [])
    runner.run(stack.aclose())


async def until_closed(socket: rxws.WebSocket[Any, Any]) -> rxws.Close:
    async with asyncio.timeout(10):
        return await socket.closed


def test_in_another_thread(runner: asyncio.Runner) -> None:
    """A loop that is made in one thread, and then runs in another, belongs to the one that it runs in."""
    loop, stack = runner.get_loop(), AsyncExitStack()
    client, peer = runner.run(stack.enter_async_context(pair()))
    got, shown, errors, threads = list[Any](), list[Any](), list[Exception](), set[int]()
    client.errors.subscribe(errors.append)
    client.outgoing.subscribe(shown.append)
    client.outgoing.subscribe(lambda _: threads.add(threading.get_ident()))
    peer.incoming.subscribe(got.append)
    other = threading.Thread(target=loop.run_forever)
    other.start()
    try:
        for number in range(100):
            client.outgoing.on_next(f"{number}")
        asyncio.run_coroutine_threadsafe(until(lambda: len(got) == 100), loop).result(10)

        async def within() -> None:
            client.outgoing.on_next("within")
            assert shown[-1] == "within", "in the running loop it is sent at once"

        asyncio.run_coroutine_threadsafe(within(), loop).result(10)
        client.close(4001)
        assert asyncio.run_coroutine_threadsafe(until_closed(peer), loop).result(10).code == 4001
    finally:
        loop.call_soon_threadsafe(loop.stop)
        other.join()
    assert got == shown == [*(f"{number}" for number in range(100)), "within"]
    assert (errors, threads) == ([], {other.ident})
    runner.run(stack.aclose())
