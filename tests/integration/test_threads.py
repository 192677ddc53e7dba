"""Calls from other threads, and from other threads' event loops: whose context, whose socket."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiohttp import web
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from tests.integration.raw import TEXT, raw
from tests.integration.server import serving

BOTH_LOOPS = True
Eventually = Callable[..., Any]

user = contextvars.ContextVar[str]("user", default="nobody")


@web.middleware
async def authenticate(request: web.Request, handler: Any) -> Any:
    user.set(request.query["user"])
    return await handler(request)


@pytest.mark.parametrize("way", ["map_async", "buffered", "room", "topic"])
async def test_thread_calls_keep_their_request(
    way: str, open_topics: Callable[..., Any], eventually: Eventually
) -> None:
    """What threads bring for three requests is each worked on as its own request, while calls of all three wait."""
    seen: list[tuple[str, str]] = []
    ready, gate = threading.Barrier(4), threading.Event()
    together, room, topic = Subject[str](), rxws.Rooms[str]()["all"], open_topics("memory://")["all"]

    def note(message: str) -> None:
        seen.append((message, user.get()))

    async def work(message: str) -> str:
        note(message)
        await asyncio.sleep(0)
        note(message)
        return message

    @rxws.websocket
    async def handler(incoming: Any) -> None:
        stream = {"room": room, "topic": topic}.get(way, together)

        def call(message: str) -> None:
            ready.wait(10)
            gate.wait(10)
            stream.on_next(message)

        async for message in rxops.to_async_iterable(incoming):
            await asyncio.to_thread(call, message)

    app = web.Application(middlewares=[authenticate])
    app.router.add_get("/", handler)
    if way == "buffered":
        together.pipe(rxops.buffered(5), rxops.map_async(work)).subscribe(note)
    else:
        together.pipe(rxops.map_async(work, max_concurrent=3)).subscribe(note)
    room.subscribe(note)
    topic.subscribe(note)
    async with serving(app=app) as server, AsyncExitStack() as stack:
        for name in ("alice", "bob", "carol"):
            peer = await stack.enter_async_context(raw(server.port, f"/?user={name}"))
            peer.send(TEXT, name.encode())
        await asyncio.to_thread(ready.wait, 10)
        gate.set()
        time.sleep(0.1)  # so that their calls wait for the event loop together
        await eventually(lambda: len(seen) >= (9 if way in ("map_async", "buffered") else 3))
        assert sorted(set(seen)) == [("alice", "alice"), ("bob", "bob"), ("carol", "carol")]


async def test_read_on_another_loop() -> None:
    """A socket may be read in sequence, and its end awaited, on the event loop of another thread."""
    got: list[str] = []

    async def read(socket: rxws.WebSocket[Any, Any]) -> rxws.Close:
        async with asyncio.timeout(10):
            got.append(await socket.receive())
            async for message in socket:
                got.append(message)
            return await socket.closed

    @rxws.websocket
    async def handler(socket: Any) -> None:
        closed.set_result(await asyncio.to_thread(asyncio.run, read(socket)))

    closed = asyncio.get_running_loop().create_future()
    async with serving(handler) as server, raw(server.port) as peer:
        for number in range(5):
            peer.send(TEXT, b"%d" % number)
            await asyncio.sleep(0.02)
        peer.send_close(4001)
        assert (await asyncio.wait_for(closed, 5)).code == 4001
    assert got == ["0", "1", "2", "3", "4"]
