"""A gateway over real sockets: how one end's socket closes is how the other one does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import reactivex
from aiohttp import web
from reactivex import Observable, abc
from reactivex import operators as ops

import rxws
from rxws import operators as rxops
from tests.integration.raw import TEXT, raw
from tests.integration.server import Server, serving
from tests.streams import ended

BOTH_LOOPS = True
Socket = rxws.WebSocket[Any, Any]
Handler = Callable[..., Any]

upstreams: list[rxws.ClientWebSocket[Any, Any]] = []
"""What the gateways have opened."""


async def to_source(request: web.Request) -> rxws.ClientWebSocket[Any, Any]:
    upstream = await rxws.connect(str(request.url.with_path("/source").with_scheme("ws")))
    upstreams.append(upstream)
    return upstream


async def returned(request: web.Request, socket: Socket) -> Observable[Any]:
    upstream = await to_source(request)
    socket.incoming.subscribe(upstream.outgoing)
    return upstream.incoming


async def through_operators(request: web.Request, incoming: Observable[Any]) -> Observable[Any]:
    upstream = await to_source(request)
    incoming.pipe(ops.map(str), ops.filter(bool)).subscribe(upstream.outgoing)
    return upstream.incoming.pipe(ops.start_with("hello"), ops.map(str), ops.filter(bool))


async def disposables(request: web.Request, socket: Socket) -> list[abc.DisposableBase]:
    upstream = await to_source(request)
    return [upstream.incoming.subscribe(socket.outgoing), socket.incoming.subscribe(upstream.outgoing)]


async def by_hand(request: web.Request, socket: Socket) -> None:
    async with rxws.connect(str(request.url.with_path("/source").with_scheme("ws"))) as upstream:
        upstreams.append(upstream)
        socket.incoming.subscribe(upstream.outgoing)
        upstream.incoming.subscribe(socket.outgoing)
        await upstream.closed


async def generator(request: web.Request, socket: Socket) -> AsyncIterator[Any]:
    async with rxws.connect(str(request.url.with_path("/source").with_scheme("ws"))) as upstream:
        upstreams.append(upstream)
        socket.incoming.subscribe(upstream.outgoing)
        async for message in upstream:
            yield message
        raise (await upstream.closed).passed_on()


def composed(request: web.Request, socket: Socket) -> Observable[Any]:
    """A `def` handler, whose upstream is there later."""
    url = str(request.url.with_path("/source").with_scheme("ws"))

    async def connected(_: Any) -> Observable[Any]:
        upstream = await rxws.connect(url)
        upstreams.append(upstream)
        socket.incoming.subscribe(upstream.outgoing)
        return upstream.incoming

    return reactivex.of(url).pipe(rxops.map_async(connected), ops.merge_all())


SHAPES = [returned, through_operators, disposables, by_hand, generator, composed]


@asynccontextmanager
async def between(shape: Handler) -> AsyncIterator[tuple[Server, rxws.ClientWebSocket[Any, Any], Socket]]:
    """Serve a source and a gateway, and give the client's socket and the source's."""
    app = web.Application()
    sources = asyncio.Queue[Socket]()

    @rxws.websocket
    async def source(socket: Socket) -> None:
        sources.put_nowait(socket)
        socket.incoming.subscribe()
        await socket.closed

    app.router.add_get("/source", source)
    app.router.add_get("/", rxws.websocket(shape))
    upstreams.clear()
    async with serving(app=app) as server, rxws.connect(server.url) as client:
        client.incoming.subscribe()
        yield server, client, await asyncio.wait_for(sources.get(), 5)


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_close_of_the_source_reaches_the_client(shape: Handler) -> None:
    async with between(shape) as (_, client, source):
        source.close(4002, "why")
        assert await ended(client) == rxws.Close(4002, "why")


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_close_of_the_client_reaches_the_source(shape: Handler) -> None:
    async with between(shape) as (_, client, source):
        client.close(4001, "bye")
        assert await ended(source) == rxws.Close(4001, "bye")
        await ended(upstreams[0])


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_lost_source_is_1011(shape: Handler) -> None:
    """A source that is lost is 1011 for the client: 1006 may not be sent."""
    async with between(shape) as (_, client, source):
        source._life.abort()  # pyright: ignore[reportPrivateUsage]
        assert await ended(client) == rxws.Close(1011, "Connection Lost")


async def test_an_upstream_leaves_with_its_client(eventually: Callable[..., Any]) -> None:
    """An upstream that was opened for a client, and that nobody reads any more, closes as the client did."""

    async def one_way(request: web.Request) -> Observable[Any]:
        return (await to_source(request)).incoming

    async with between(one_way) as (_, client, source):
        client.close(4001, "bye")
        assert await ended(source) == rxws.Close(4001, "bye")


async def test_an_upstream_that_is_read_stays() -> None:
    """An upstream that others read stays when the client leaves for whom it was opened."""

    async def shared(request: web.Request) -> Observable[Any]:
        upstream = await to_source(request)
        upstream.incoming.subscribe()
        return upstream.incoming

    async with between(shared) as (_, client, source):
        client.close(4001, "bye")
        await ended(client)
        await asyncio.sleep(0.1)
        assert upstreams[0]._life.close_cause is None  # pyright: ignore[reportPrivateUsage]
        upstreams[0].close(4003)
        assert await ended(source) == rxws.Close(4003)


# A slow client slows the source, and is not cut


MESSAGE = "x" * 32_768
MESSAGES = 800


async def parts() -> AsyncIterator[str]:
    for number in range(MESSAGES):
        given.append(number)
        yield MESSAGE


given: list[int] = []
"""What an iterable has given so far, or a source has sent."""


def url_of(request: web.Request) -> str:
    return str(request.url.with_path("/source").with_scheme("ws"))


async def in_a_loop(request: web.Request, outgoing: Any) -> None:
    async with rxws.connect(url_of(request)) as upstream:
        async for message in upstream:
            outgoing.on_next(message)


async def in_a_loop_of_items(request: web.Request, outgoing: Any) -> None:
    async with rxws.connect(url_of(request)) as upstream:
        async for message in rxops.to_async_iterable(upstream.incoming):
            outgoing.on_next(message)


async def sent(request: web.Request, socket: Socket) -> None:
    async with rxws.connect(url_of(request)) as upstream:
        async for message in upstream:
            await socket.send(message)


async def through_stages(request: web.Request, incoming: Observable[Any]) -> Observable[Any]:
    async def same(message: Any) -> Any:
        return message

    upstream = await to_source(request)
    incoming.subscribe(upstream.outgoing)
    return upstream.incoming.pipe(rxops.buffered(10), rxops.map_async(same, max_concurrent=4))


def an_iterable() -> Observable[str]:
    return rxops.from_async_iterable(parts())


def an_iterable_by_hand(outgoing: Any) -> None:
    rxops.from_async_iterable(parts()).subscribe(outgoing)


def an_iterable_returned(outgoing: Any) -> abc.DisposableBase:
    return rxops.from_async_iterable(parts()).pipe(ops.map(str)).subscribe(outgoing)


FLOWS = [
    *(returned, through_operators, disposables, by_hand, generator, composed),
    *(in_a_loop, in_a_loop_of_items, sent, through_stages, an_iterable, an_iterable_by_hand, an_iterable_returned),
]


@pytest.mark.parametrize("shape", FLOWS)
async def test_a_slow_client_slows_the_source(shape: Handler) -> None:
    """A source waits while the client of a gateway does not read, nothing is lost then, and little waits meanwhile."""

    @rxws.websocket
    async def source(socket: Socket) -> AsyncIterator[str]:
        socket.incoming.subscribe()
        async for message in parts():
            yield message

    app = web.Application()
    app.router.add_get("/source", source)
    app.router.add_get("/", rxws.websocket(heartbeat=None)(shape))
    given.clear()
    async with serving(app=app) as server, raw(server.port, receive_buffer=65_536) as peer:
        before = -1
        while len(given) > before:
            before = len(given)
            await asyncio.sleep(0.1)
        assert before < MESSAGES * 3 / 4  # the kernel's buffers have the rest
        gateway = server.sockets[0]
        assert gateway.stats.buffered_bytes < 300_000
        received = 0
        while received < MESSAGES:
            opcode, data = await asyncio.wait_for(peer.receive(), 10)
            received += opcode == TEXT and len(data) == len(MESSAGE)


async def test_a_held_upstream_lives(eventually: Callable[..., Any]) -> None:
    """An upstream that is held for longer than its heartbeat is not taken for dead, in a block of `accept`, too."""
    app, sockets = web.Application(), list[Socket]()

    @rxws.websocket
    async def source(socket: Socket) -> AsyncIterator[str]:
        socket.incoming.subscribe()
        async for message in parts():
            yield message

    async def accepted(request: web.Request) -> web.StreamResponse:
        async with (
            rxws.accept(request, heartbeat=None) as socket,
            rxws.connect(url_of(request), heartbeat=0.15) as upstream,
        ):
            sockets.append(upstream)
            upstream.incoming.subscribe(socket.outgoing)
            await socket.closed
        return socket.response

    app.router.add_get("/source", source)
    app.router.add_get("/", accepted)
    async with serving(app=app) as server, raw(server.port, receive_buffer=65_536) as peer:
        await eventually(lambda: sockets and sockets[0]._life.held)  # pyright: ignore[reportPrivateUsage]
        await asyncio.sleep(0.6)
        assert sockets[0]._life.held  # pyright: ignore[reportPrivateUsage]
        received = 0
        while received < MESSAGES:
            opcode, _ = await asyncio.wait_for(peer.receive(), 10)
            received += opcode == TEXT
        assert await ended(sockets[0]) == rxws.Close()


@pytest.mark.parametrize("way", ["leaves", "answers no ping"])
async def test_a_client_that_leaves_lets_the_source_go(way: str, eventually: Callable[..., Any]) -> None:
    """A client that is gone while it holds the source holds it no more, and takes it along, as nobody else reads it."""
    app = web.Application()

    @rxws.websocket
    async def source(socket: Socket) -> AsyncIterator[str]:
        socket.incoming.subscribe()
        async for message in parts():
            yield message

    app.router.add_get("/source", source)
    app.router.add_get("/", rxws.websocket(heartbeat=None if way == "leaves" else 0.2)(returned))
    upstreams.clear()
    async with serving(app=app) as server, raw(server.port, receive_buffer=65_536) as peer:
        await eventually(lambda: upstreams and (upstreams[0]._life.held or upstreams[0]._life.close_cause))
        if way == "leaves":
            peer.reset()
        assert await ended(upstreams[0]) == rxws.Close(1011, "Connection Lost")


async def test_two_that_send_each_other_much() -> None:
    """A client that sends an echo more than the kernels keep, with `send`, gets it all back."""

    @rxws.websocket
    def echo(incoming: Observable[Any]) -> Observable[Any]:
        return incoming

    async with serving(echo) as server, rxws.connect(server.url) as client:
        seen = list[str]()
        client.incoming.subscribe(seen.append)
        async with asyncio.timeout(20):
            for _ in range(MESSAGES):
                await client.send(MESSAGE)
            while len(seen) < MESSAGES:
                await asyncio.sleep(0.01)
