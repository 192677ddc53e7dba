"""Flow control over real sockets: holds that reach TCP, freshness, fairness."""

import asyncio
import contextvars
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from reactivex import Observer
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from tests.integration.raw import PING, PONG, TEXT, frame, raw
from tests.integration.server import serving
from tests.streams import ended

BOTH_LOOPS = TRANSPORTS = True
Eventually = Callable[..., Any]


async def test_busy_operator_stops_the_peer(eventually: Eventually, transport: str) -> None:
    """A busy operator stops the peer's sending, and lets it go on."""
    gate = asyncio.Event()
    done: list[int] = []

    async def slow(message: str) -> None:
        await gate.wait()
        done.append(int(message[:10]))

    @rxws.websocket(heartbeat=0.5 if transport == "aiohttp" else None)
    def handler(incoming: Any, errors: Any) -> Any:
        errors.subscribe()
        return incoming.pipe(rxops.map_async(slow, max_concurrent=2), ops.ignore_elements())

    number = 3000
    async with serving(handler) as server, raw(server.port) as peer:
        peer.writer.transport.set_write_buffer_limits(high=0)

        async def push() -> None:
            for index in range(number):
                peer.send(TEXT, f"{index:010}".encode() + b"x" * 10_000)
                await peer.writer.drain()

        async def answer() -> None:
            while True:
                opcode, data = await peer.receive()
                if opcode == PING:
                    peer.send(PONG, data)

        pushing, answering = asyncio.create_task(push()), asyncio.create_task(answer())
        await asyncio.sleep(1.3)
        stats = server.sockets[0].stats
        assert stats.received == 2, "only what has a slot is read"
        assert not pushing.done(), "TCP has stopped the peer"
        gate.set()
        await asyncio.wait_for(pushing, 30)
        await eventually(lambda: len(done) == number, 30)
        assert done == list(range(number))
        answering.cancel()


@pytest.mark.aiohttp_only  # on ASGI the read-ahead is the same code, and uvicorn would take seconds
@pytest.mark.parametrize("size", [0, 1])
async def test_hold_stops_tiny_messages(size: int, eventually: Eventually) -> None:
    """A hold stops the peer even with empty and tiny messages, which then go on in turns of the loop."""
    gate, waits = asyncio.Event(), list[float]()

    @rxws.websocket(heartbeat=None)
    async def handler(socket: rxws.WebSocket[str, str]) -> None:
        await gate.wait()
        socket.incoming.subscribe()
        await asyncio.sleep(60)

    async with serving(handler) as server, raw(server.port) as peer:
        peer.writer.transport.set_write_buffer_limits(high=0)
        chunk = frame(TEXT, b"x" * size) * 10_000

        sent = 0

        async def push() -> None:
            nonlocal sent
            while True:
                peer.writer.write(chunk)
                await peer.writer.drain()
                sent += 10_000

        pushing, before = asyncio.create_task(push()), -1
        async with asyncio.timeout(10):
            while sent > before:  # until TCP has stopped the peer
                before = sent
                await asyncio.sleep(0.3)
        began = time.monotonic()
        gate.set()
        while server.sockets[0].stats.received < 50_000:
            waits.append(-time.thread_time())
            await asyncio.sleep(0)
            waits[-1] += time.thread_time()
            assert time.monotonic() - began < 10
        pushing.cancel()
        await asyncio.wait({pushing})
        assert sorted(waits)[-3] < 0.2


async def test_hold_answers_pings_and_sees_a_departure(eventually: Eventually) -> None:
    """In a hold pings are answered, and a departure is seen."""

    @rxws.websocket(close_timeout=0.3)  # what is parked has as long to be delivered before the end
    def handler(incoming: Any) -> Any:
        return incoming.pipe(rxops.map_async(lambda _: asyncio.sleep(60)))

    async with serving(handler) as server, raw(server.port) as peer:
        peer.send(TEXT, b"one")
        peer.send(TEXT, b"two")
        peer.send(PING, b"there?")
        assert await asyncio.wait_for(peer.receive(), 5) == (PONG, b"there?")
        assert server.sockets[0].stats.received == 1
        peer.reset()
        assert await ended(server.sockets[0]) == rxws.Close.received(1006)


async def test_held_messages_keep_their_context(eventually: Eventually) -> None:
    """What a hold kept back comes in the context of its own request."""
    user = contextvars.ContextVar[str]("user")
    room = Subject[str]()
    seen: list[tuple[str, str]] = []

    def note(message: str) -> None:
        seen.append((message, user.get()))

    async def work(message: str) -> str:
        await asyncio.sleep(0)
        note(message)
        return message

    @rxws.websocket
    def handler(request: Any, incoming: Any) -> Any:
        user.set(request.query["user"])
        return incoming.pipe(ops.do_action(note)).subscribe(room.on_next)

    room.pipe(rxops.map_async(work)).subscribe(note)
    async with serving(handler) as server, AsyncExitStack() as stack:
        names = ("alice", "bob", "carol")
        peers = [await stack.enter_async_context(raw(server.port, f"/?user={name}")) for name in names]
        for _ in range(20):
            for name, peer in zip(names, peers, strict=True):
                peer.send(TEXT, name.encode())
        await eventually(lambda: len(seen) == 3 * 3 * 20)
    assert all(message == name for message, name in seen)


async def test_a_high_buffer_holds_reading(eventually: Eventually) -> None:
    @rxws.websocket(high_water=20_000, max_buffered=2**22)
    def handler(incoming: Any) -> Any:
        return incoming.pipe(ops.map(lambda _: "x" * 100_000))

    async with serving(handler) as server, raw(server.port, receive_buffer=4096) as peer:
        for _ in range(2000):
            peer.send(TEXT, b"more")
        await eventually(lambda: server.sockets[0].stats.buffered_bytes > 20_000)
        await asyncio.sleep(0.2)
        stats = server.sockets[0].stats
        assert stats.received < 100
        assert stats.buffered_bytes < 250_000
        for _ in range(60):
            await asyncio.wait_for(peer.receive(), 10)
        assert server.sockets[0].stats.received > stats.received


def answering(incoming: Any) -> Any:
    return incoming.pipe(ops.map(lambda _: "x" * 100_000))


async def answering_in_sequence(socket: Any) -> None:
    async for _ in socket:
        await socket.send("x" * 100_000)


@pytest.mark.parametrize("handler", [answering, answering_in_sequence])
@pytest.mark.parametrize("end", ["lost", "closed"])
async def test_end_behind_unread_answers(end: str, handler: Any, eventually: Eventually) -> None:
    """A peer that does not read its answers leaves: what it has sent is delivered, and the end follows at once."""
    log = list[Any]()
    served = rxws.websocket(high_water=100_000, max_buffered=2**26, close_timeout=8)(handler)
    async with serving(served) as server, raw(server.port, receive_buffer=4096) as peer:
        await eventually(lambda: server.sockets)
        (socket,) = server.sockets
        socket._life.incoming.monitor(Observer(log.append, on_completed=lambda: log.append("completed")))
        socket.errors.subscribe(lambda error: log.append(type(error)))
        socket.closed.subscribe(log.append)
        sent = [str(number) for number in range(200)]
        for message in sent:
            peer.send(TEXT, message.encode())
        await eventually(lambda: log and socket.stats.unread and len(log) + socket.stats.unread >= 199)
        held = socket.stats.unread
        assert 50 < held < 200
        ending = [rxws.ConnectionLost, "completed", rxws.Close.received(1006)]
        if end == "closed":
            ending = ["completed", rxws.Close(4001)]
            peer.send_close(4001)
            await asyncio.sleep(0.3)
        began = time.monotonic()
        peer.reset()
        await ended(socket, 15)
        assert log == [*sent, *ending]
        assert time.monotonic() - began < 4


@pytest.mark.parametrize("wait", [0.0, 0.05])
async def test_iterating_over_a_socket_at_its_own_pace(wait: float) -> None:
    seen: list[str] = []

    @rxws.websocket
    async def handler(socket: Any, outgoing: Any) -> None:
        async for message in socket:
            await asyncio.sleep(wait)
            seen.append(message)
            if len(seen) == 20:
                break
        outgoing.on_next("enough")

    async with serving(handler) as server, rxws.connect(server.url) as client:
        for number in range(20):
            client.outgoing.on_next(str(number))
        assert await client.incoming.pipe(ops.first()) == "enough"
        assert await ended(client) == rxws.Close()
        assert seen == [str(number) for number in range(20)]
