"""Calls of other threads, and of their event loops: whose context, whose socket, and what becomes of them."""

import asyncio
import contextvars
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from reactivex import Observable
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.rx.loop_thread import MAX_HANDED_OVER
from tests.integration.raw import TEXT, raw
from tests.integration.server import serving
from tests.ports import free_port
from tests.streams import ended
from tests.threads import in_a_thread, send_in_a_thread

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


# What is called before the end, and ahead of the event loop


ENDS: dict[str, tuple[Callable[[rxws.WebSocket[Any, Any]], object], int]] = {
    "close": (lambda socket: socket.close(4000), 4000),
    "on_completed": (lambda socket: socket.outgoing.on_completed(), 1000),
    "on_error": (lambda socket: socket.outgoing.on_error(rxws.Close(4002)), 4002),
}


@pytest.mark.parametrize("in_the_thread", [True, False])
@pytest.mark.parametrize("end", ENDS)
async def test_close_behind_a_thread(end: str, in_the_thread: bool, eventually: Eventually) -> None:
    """What a thread has sent while the event loop is busy arrives before the close frame, whoever closes."""
    act, code = ENDS[end]
    async with serving(rxws.websocket(lambda: None)) as server, raw(server.port) as peer:
        await eventually(lambda: server.sockets)
        (socket,) = server.sockets
        told = list[Any]()
        socket.undelivered.subscribe(told.append)
        socket.dropped.subscribe(told.append)
        messages = [f"{number}" for number in range(1000)]

        def work() -> None:
            for message in messages:
                socket.outgoing.on_next(message)
            if in_the_thread:
                act(socket)
                socket.outgoing.on_next("behind the close")

        in_a_thread(work)
        assert socket.stats.handed_over == 1000
        if not in_the_thread:
            act(socket)
            send_in_a_thread(socket, ["behind the close"])
        async with asyncio.timeout(10):
            assert [(await peer.receive())[1].decode() for _ in messages] == messages
            assert (await peer.receive_close())[0] == code
        peer.send_close(code)
        await ended(socket)
        assert (told, socket.stats.handed_over) == ([], 0)


async def test_reset_behind_a_thread(eventually: Eventually) -> None:
    """What a thread has sent when the peer is gone is handed to the transport, or told of; nothing vanishes."""
    async with serving(rxws.websocket(overflow="drop_oldest")(lambda: None)) as server:
        async with raw(server.port) as peer:
            await eventually(lambda: server.sockets)
            (socket,) = server.sockets
            undelivered, dropped = list[Any](), list[Any]()
            socket.undelivered.subscribe(undelivered.append)
            socket.dropped.subscribe(dropped.append)
            peer.reset()
            send_in_a_thread(socket, [f"{number}" + "x" * 4000 for number in range(1000)])
        await ended(socket)
        stats = socket.stats
        assert stats.sent + len(undelivered) + len(dropped) == 1000
        assert (stats.handed_over, stats.buffered, stats.dropped) == (0, 0, len(dropped))


async def test_thread_ahead_of_an_offline_client(eventually: Eventually) -> None:
    """Of 17,000 messages of a thread, while the event loop is busy and the client offline, the newest are dropped."""
    port = free_port()
    quick = rxws.Backoff(initial=0.01, maximum=0.05)
    async with rxws.connect(f"ws://127.0.0.1:{port}/", reconnect=quick, max_buffered=8_000_000) as client:
        dropped, got = list[Any](), list[Any]()
        client.dropped.subscribe(dropped.append)
        messages = [f"{number}" for number in range(17_000)]
        send_in_a_thread(client, messages)
        time.sleep(0.5)  # the event loop is busy
        await eventually(lambda: len(dropped) == 17_000 - MAX_HANDED_OVER)
        assert (dropped, client.stats.dropped) == (messages[MAX_HANDED_OVER:], 17_000 - MAX_HANDED_OVER)
        app = web.Application()
        app.router.add_get("/", rxws.websocket(lambda incoming: incoming.subscribe(got.append) and None))
        rxws.setup(app)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            async with asyncio.timeout(30):
                while len(got) < MAX_HANDED_OVER:
                    await asyncio.sleep(0.01)
        finally:
            client.close()
            await runner.cleanup()
        assert got == messages[:MAX_HANDED_OVER]


async def test_thread_ahead_in_bytes(eventually: Eventually) -> None:
    """Of 190 MiB that a thread sends while the event loop is busy 4 MiB wait; all of it is counted."""
    async with serving(rxws.websocket(overflow="drop_newest")(lambda: None)) as server, raw(server.port):
        await eventually(lambda: server.sockets)
        (socket,) = server.sockets
        message = "x" * 12_000
        send_in_a_thread(socket, [message] * 16_000)
        assert 4_000_000 < socket.stats.handed_over_bytes < 4 * 2**20
        assert socket.stats.handed_over == socket.stats.handed_over_bytes // (12_000 + 64)
        await eventually(lambda: not socket.stats.handed_over)
        stats = socket.stats
        assert stats.sent + stats.buffered + stats.dropped == 16_000


Pipe = Callable[[Observable[str], Callable[[str], object]], Callable[[], object]]


def mapped(source: Observable[str], note: Callable[[str], object]) -> Callable[[], object]:
    return source.pipe(rxops.map_async(same)).subscribe(note).dispose


def buffered(source: Observable[str], note: Callable[[str], object]) -> Callable[[], object]:
    return source.pipe(rxops.buffered(2), rxops.map_async(same, max_concurrent=2)).subscribe(note).dispose


def iterated(source: Observable[str], note: Callable[[str], object]) -> Callable[[], object]:
    async def iterate() -> None:
        async for message in rxops.to_async_iterable(source):
            note(await same(message))

    return asyncio.create_task(iterate()).cancel


async def same(message: str) -> str:
    await asyncio.sleep(0)
    return message


@asynccontextmanager
async def on_another_loop(pipe: Pipe, source: Observable[str], note: Callable[[str], object]) -> AsyncIterator[None]:
    """Work on another thread's event loop."""
    ready, done = threading.Event(), threading.Event()

    async def work() -> None:
        dispose = pipe(source, note)
        await asyncio.sleep(0.01)
        ready.set()
        while not done.is_set():
            await asyncio.sleep(0.01)
        dispose()

    working = asyncio.ensure_future(asyncio.to_thread(asyncio.run, work()))
    await asyncio.to_thread(ready.wait)
    try:
        yield
    finally:
        done.set()
        await working


@pytest.mark.parametrize("before", ["nothing", "buffered"])
@pytest.mark.parametrize("pipe", [mapped, buffered, iterated])
async def test_work_on_another_loop(pipe: Pipe, before: str, eventually: Eventually) -> None:
    """What another thread's event loop works on comes whole and in order, however much waits; its socket is held."""
    room, got, told = Subject[str](), list[str](), list[Exception]()

    @rxws.websocket
    def handler(incoming: Any, errors: Any) -> None:
        errors.subscribe(told.append)
        source = incoming.pipe(rxops.buffered(1)) if before == "buffered" else incoming
        source.subscribe(room.on_next)

    number = 3000
    async with serving(handler) as server, on_another_loop(pipe, room, got.append), raw(server.port) as peer:
        for message in range(number):
            peer.send(TEXT, b"%d" % message)
        await eventually(lambda: len(got) + len(told) >= number)
        assert (got, told) == ([*map(str, range(number))], [])


async def test_error_on_another_loop(eventually: Eventually) -> None:
    """What is raised on another loop over a socket's item is told in the socket's own, and holds it no longer."""
    room, threads = Subject[str](), list[tuple[type[Exception], int]]()

    @rxws.websocket
    def handler(incoming: Any, errors: Any) -> None:
        errors.subscribe(lambda error: threads.append((type(error), threading.get_ident())))
        incoming.subscribe(room.on_next)

    def refuse(message: str) -> None:
        raise LookupError(message)

    async with serving(handler) as server, on_another_loop(mapped, room, refuse), raw(server.port) as peer:
        for _ in range(20):
            peer.send(TEXT, b"x")
        await eventually(lambda: len(threads) == 20)
        assert set(threads) == {(LookupError, threading.get_ident())}
        await eventually(lambda: server.hub is not None and not server.hub.stats.held)
