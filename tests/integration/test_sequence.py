"""Code that reads in sequence, over real sockets, on a server and on a client: nothing is lost between two readers."""

import asyncio
import logging
import random
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import reactivex
from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws import operators as rxops
from tests.integration.raw import CLOSE, PING, PONG, TEXT, frame, raw
from tests.integration.server import running, serving
from tests.streams import ended

BOTH_LOOPS = True
Eventually = Callable[..., Any]
Socket = rxws.WebSocket[Any, Any]
Reads = Callable[[Socket, "Sender"], Awaitable[Any]]
MESSAGES = [str(number) for number in range(20)]
ROLES = pytest.mark.parametrize("role", ["server", "client"])


class Sender:
    """The peer: what it sends at a time leaves in one segment."""

    def __init__(self, write: Callable[[bytes], object], pack: Callable[[int, bytes], bytes]) -> None:
        self._write = write
        self._pack = pack

    def send(self, *messages: str, close: int | None = None) -> None:
        frames = [self._pack(TEXT, message.encode()) for message in messages]
        if close is not None:
            frames.append(self._pack(CLOSE, struct.pack("!H", close)))
        self._write(b"".join(frames))


def unmasked(opcode: int, data: bytes) -> bytes:
    size = struct.pack("!B", len(data)) if len(data) < 126 else struct.pack("!BQ", 127, len(data))
    return bytes((0x80 | opcode,)) + size + data


async def check() -> None:
    """Look a token up, say; messages come meanwhile."""
    await asyncio.sleep(0.05)


async def reading(role: str, reads: Reads, **options: Any) -> Any:
    """Let a socket of a server or of a client read what its peer sends, and return what it makes of it."""
    done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    peers: asyncio.Queue[Sender] = asyncio.Queue()

    async def read(socket: Socket) -> None:
        try:
            async with asyncio.timeout(30):
                done.set_result(await reads(socket, await peers.get()))
        except BaseException as error:
            done.set_exception(RuntimeError("it was cancelled") if isinstance(error, asyncio.CancelledError) else error)
            raise

    if role == "server":
        async with serving(rxws.websocket(**options)(read)) as server, raw(server.port) as peer:
            peers.put_nowait(Sender(peer.writer.write, frame))
            await peer.receive_close()
    else:

        async def handle(request: web.Request) -> web.WebSocketResponse:
            ws = web.WebSocketResponse()
            await ws.prepare(request)
            assert request.transport is not None
            peers.put_nowait(Sender(request.transport.write, unmasked))
            await ws.receive()
            return ws

        app = web.Application()
        app.router.add_get("/", handle)
        async with running(app) as server, rxws.connect(server.url, **options) as socket:
            await read(socket)
    return await done


@ROLES
async def test_a_token_a_check_and_a_loop(role: str) -> None:
    """What comes between first() and a loop waits for the loop."""

    async def reads(socket: Socket, peer: Sender) -> list[Any]:
        peer.send("token", *MESSAGES)
        token = await socket.incoming.pipe(ops.first())
        await check()
        seen = [token]
        async for message in socket:
            seen.append(message)
            if message == MESSAGES[-1]:
                break
        return seen

    assert await reading(role, reads) == ["token", *MESSAGES]


async def test_a_token_a_check_and_a_pipeline() -> None:
    """What comes between first() and the pipeline that a handler returns goes through the pipeline."""

    @rxws.websocket
    async def handler(incoming: Observable[str]) -> Observable[str]:
        token = await incoming.pipe(ops.first())
        await check()
        return incoming.pipe(ops.map(lambda message: f"{token} {message}"))

    async with serving(handler) as server, raw(server.port) as peer:
        peer.writer.write(b"".join(frame(TEXT, one.encode()) for one in ["token", *MESSAGES]))
        async with asyncio.timeout(5):
            assert [(await peer.receive())[1].decode() for _ in MESSAGES] == [f"token {one}" for one in MESSAGES]


async def test_an_iterable_that_a_def_returns() -> None:
    """An iterable that a `def` handler returns gets what comes with the opening, though it begins a turn later."""

    @rxws.websocket
    def handler(incoming: Observable[str]) -> Observable[str]:
        return rxops.from_async_iterable(rxops.to_async_iterable(incoming))

    early = b"".join(frame(TEXT, one.encode()) for one in MESSAGES)
    async with serving(handler) as server, raw(server.port, early=early) as peer, asyncio.timeout(5):
        assert [(await peer.receive())[1].decode() for _ in MESSAGES] == MESSAGES


@ROLES
async def test_first_after_first(role: str) -> None:
    """What comes between two first() waits for the second one."""

    async def reads(socket: Socket, peer: Sender) -> list[Any]:
        peer.send(*MESSAGES)
        seen: list[Any] = []
        for _ in MESSAGES:
            seen.append(await socket.incoming.pipe(ops.first()))
            await (check() if len(seen) % 5 == 0 else asyncio.sleep(0))
        return seen

    assert await reading(role, reads) == MESSAGES


@ROLES
async def test_an_iterator_that_is_kept(role: str) -> None:
    """An iterator that is kept, or a loop that is left, keeps nobody else from reading."""

    async def reads(socket: Socket, peer: Sender) -> list[Any]:
        peer.send(*MESSAGES)
        messages = aiter(socket)
        seen = [await anext(messages)]
        async with asyncio.timeout(5):
            seen.append(await socket.incoming.pipe(ops.first()))
            async for message in socket:
                seen.append(message)
                break
            seen += await socket.incoming.pipe(ops.take(len(MESSAGES) - 3), ops.to_list())
        return seen

    assert await reading(role, reads) == MESSAGES


@ROLES
async def test_a_timeout_around_anext(role: str) -> None:
    """A timeout around anext(), or receive(), ends neither the iteration nor the socket."""

    async def reads(socket: Socket, peer: Sender) -> list[Any]:
        messages = aiter(socket)
        for wait in (lambda: anext(messages), socket.receive):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await wait()
        peer.send(*MESSAGES)
        seen = [await anext(messages), await socket.receive()]
        async for message in messages:
            seen.append(message)
            if message == MESSAGES[-1]:
                return seen
        raise AssertionError("the iteration ended")

    assert await reading(role, reads) == MESSAGES


@ROLES
async def test_loops_that_are_cancelled(role: str) -> None:
    """Loops that are cancelled, again and again, lose none of the messages that they were being handed."""
    number = 3000

    async def reads(socket: Socket, peer: Sender) -> list[Any]:
        seen: list[Any] = []
        cancelled = 0

        async def loop() -> None:
            async for message in socket:
                seen.append(message)

        async def push() -> None:
            for start in range(0, number, 5):
                peer.send(*map(str, range(start, start + 5)))
                await asyncio.sleep(0)

        pushing = asyncio.create_task(push())
        async with asyncio.timeout(30):
            while len(seen) < number:
                task = asyncio.create_task(loop())
                for _ in range(random.randrange(1, 6)):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait({task})
                cancelled += task.cancelled()
        await pushing
        assert cancelled > 100
        return seen

    assert await reading(role, reads) == [*map(str, range(number))]


@ROLES
@pytest.mark.parametrize("size", [1, 3000])
async def test_ways_of_reading_in_turns(role: str, size: int) -> None:
    """However readers take turns, each message is read once and in order, also more than is read ahead."""
    number = 400
    messages = [f"{n:0{size}}" for n in range(number)]

    async def reads(socket: Socket, peer: Sender) -> list[Any]:
        seen: list[Any] = []

        async def iterate() -> None:
            async for message in socket:
                seen.append(message)
                if len(seen) == number or random.random() < 0.3:
                    break

        async def iterate_beside() -> None:
            stream = rxops.to_async_iterable(socket.incoming)
            seen.append(await anext(stream))
            await stream.aclose()

        async def first() -> None:
            seen.append(await socket.incoming.pipe(ops.first()))

        async def some() -> None:
            left = number - len(seen)
            seen.extend(await socket.incoming.pipe(ops.take(min(7, left)), ops.to_list()))

        async def receive() -> None:
            seen.append(await socket.receive())

        async def give_up() -> None:
            try:
                async with asyncio.timeout(0):
                    await receive()
            except TimeoutError:
                pass

        peer.send(*messages[: number // 2])
        asyncio.get_running_loop().call_later(0.05, peer.send, *messages[number // 2 :])
        async with asyncio.timeout(30):
            while len(seen) < number:
                await random.choice([iterate, iterate_beside, first, some, receive, give_up])()
                if random.random() < 0.2:
                    await asyncio.sleep(0.001)
        return seen

    assert await reading(role, reads, heartbeat=None) == messages


@ROLES
async def test_a_thread_reads_in_turns(role: str) -> None:
    """A thread that reads one message after the other misses none."""

    async def reads(socket: Socket, peer: Sender) -> list[Any]:
        peer.send(*MESSAGES)

        def read() -> list[Any]:
            return [socket.incoming.pipe(ops.first()).run() for _ in range(15)]

        return [*await asyncio.to_thread(read), *[await socket.receive() for _ in range(5)]]

    assert await reading(role, reads) == MESSAGES


async def test_nobody_reads(caplog: pytest.LogCaptureFixture) -> None:
    """A peer is stopped that nobody reads, and lives; that is said once; then all comes, in order."""
    caplog.set_level(logging.WARNING, "rxws.server")
    number = 1000
    read_on = asyncio.Event()
    unread: list[int] = []

    @rxws.websocket(heartbeat=0.1)
    async def handler(socket: Socket) -> None:
        assert await socket.receive() == f"{0:010000}"
        await read_on.wait()
        unread.append(socket.stats.unread)
        for index in range(1, number):
            assert await socket.receive() == f"{index:010000}"

    async with serving(handler) as server, raw(server.port) as peer:
        peer.writer.transport.set_write_buffer_limits(high=0)

        async def push() -> None:
            for index in range(number):
                peer.send(TEXT, f"{index:010000}".encode())
                await peer.writer.drain()

        async def answer() -> tuple[int, bytes]:
            while True:
                opcode, data = await peer.receive()
                if opcode == CLOSE:
                    return opcode, data
                assert opcode == PING
                peer.send(PONG, data)

        pushing, answering = asyncio.create_task(push()), asyncio.create_task(answer())
        await asyncio.sleep(1)
        assert not pushing.done(), "TCP has stopped the peer"
        assert len(server.sockets) == 1
        read_on.set()
        await asyncio.wait_for(pushing, 30)
        assert await asyncio.wait_for(answering, 30) == (CLOSE, struct.pack("!H", 1000))
    assert unread in ([6], [7])  # 64 KiB
    assert [(record.levelname, record.ws_event, record.ws_unread) for record in caplog.records] == [
        ("WARNING", "unread", unread[0])
    ]
    assert "nobody reads" in caplog.text


@ROLES
async def test_the_peer_s_close_waits_for_readers(role: str) -> None:
    """The end of the peer does not overtake what waits for a reader."""

    async def reads(socket: Socket, peer: Sender) -> list[Any]:
        peer.send(*MESSAGES, close=4001)
        seen = [await socket.receive()]
        await check()
        seen += [await socket.incoming.pipe(ops.first()), await socket.receive()]
        seen += [message async for message in socket]
        with pytest.raises(rxws.Close, match="4001"):
            await socket.receive()
        return seen

    assert await reading(role, reads) == MESSAGES


@ROLES
async def test_a_close_waits_longer_than_a_heartbeat(role: str) -> None:
    """The end of the peer, which waits for a reader, is not taken for silence: no pong counts behind a close frame."""

    async def reads(socket: Socket, peer: Sender) -> list[Any]:
        peer.send("1", close=4001)
        await asyncio.sleep(0.3)
        return [await socket.receive(), await ended(socket)]

    assert await reading(role, reads, heartbeat=0.05) == ["1", rxws.Close(4001)]


async def test_the_peer_s_close_waits_not_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    """The end of the peer waits for readers as long as the deadline lets it; what is lost then is said."""
    caplog.set_level(logging.WARNING, "rxws.server")

    @rxws.websocket(close_timeout=0.3)
    async def handler(socket: Socket) -> None:
        assert await socket.receive() == "0"
        await socket.closed

    async with serving(handler) as server, raw(server.port) as peer:
        Sender(peer.writer.write, frame).send(*MESSAGES, close=4001)
        start = asyncio.get_running_loop().time()
        assert await peer.receive_close() == (4001, "")
        assert 0.2 < asyncio.get_running_loop().time() - start < 5
        assert await ended(server.sockets[0]) == rxws.Close(4001)
    (record,) = caplog.records
    assert record.getMessage().startswith("the connection ended with messages that nobody read: 19")


async def test_an_old_connection_is_over_behind_unread(eventually: Eventually) -> None:
    """A client that comes back, and that nobody reads, is rid of one `close_timeout` after the peer's close."""
    opened: list[Socket] = []

    @rxws.websocket
    async def handler(socket: Socket) -> None:
        opened.append(socket)
        if len(opened) == 1:
            await socket.send("unread")
            raise rxws.Close(1012)
        await socket.closed

    backoff = rxws.Backoff(initial=0.01, maximum=0.01)
    async with serving(handler) as server, rxws.connect(server.url, reconnect=backoff, close_timeout=0.2) as socket:
        await eventually(lambda: len(opened) == 2)
        await eventually(lambda: len(socket._life._connections) == 1, timeout=2)


async def test_a_block_that_is_cut_ends_behind_unread(eventually: Eventually) -> None:
    """A block that is cancelled ends at once, though its connection was lost before, behind what nobody has read."""
    sockets: list[Socket] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        peer = web.WebSocketResponse()
        await peer.prepare(request)
        await peer.send_str("unread")
        await eventually(lambda: sockets and sockets[0].stats.unread)
        assert request.transport is not None
        request.transport.abort()
        return peer

    async def block(url: str) -> None:
        async with rxws.connect(url, close_timeout=20) as socket:
            sockets.append(socket)
            await asyncio.sleep(20)

    app = web.Application()
    app.router.add_get("/", handle)
    async with running(app) as server:
        work = asyncio.create_task(block(server.url))
        await eventually(lambda: sockets and sockets[0]._life.is_lost)
        work.cancel()
        async with asyncio.timeout(5):
            await asyncio.wait({work})
            assert await sockets[0].closed == rxws.Close.received(1006)


async def test_accept_in_sequence(caplog: pytest.LogCaptureFixture) -> None:
    """A block of accept() reads in sequence, and the peer's leaving is no error of its handler."""
    seen: list[Any] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        async with rxws.accept(request) as socket:
            seen.append(await socket.incoming.pipe(ops.first()))
            await check()
            while True:
                seen.append(await socket.receive())
        return socket.response

    app = web.Application()
    app.router.add_get("/", handle)
    async with serving(app=app) as server, raw(server.port) as peer:
        Sender(peer.writer.write, frame).send(*MESSAGES, close=4001)
        assert await peer.receive_close() == (4001, "")
        assert await ended(server.sockets[0]) == rxws.Close(4001)
    assert seen == MESSAGES
    assert caplog.records == []


async def test_attach_in_sequence() -> None:
    """What is attached to without an observer reads in sequence."""
    seen: list[Any] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        socket = rxws.attach(ws)
        seen.append(await socket.incoming.pipe(ops.first()))
        await check()
        seen.extend([message async for message in socket])
        return ws

    app = web.Application()
    app.router.add_get("/", handle)
    async with serving(app=app) as server, raw(server.port) as peer:
        Sender(peer.writer.write, frame).send(*MESSAGES, close=4001)
        assert await peer.receive_close() == (4001, "")
        await ended(server.sockets[0])
    assert seen == MESSAGES


async def test_requests_in_sequence() -> None:
    """What a server pushes between two requests waits for the next reader; pings are answered meanwhile."""

    @rxws.websocket(heartbeat=0.1)
    def handler(incoming: Observable[str]) -> Observable[str]:
        return incoming.pipe(ops.flat_map(lambda one: reactivex.of(f"answer {one}", f"push {one}")))

    async with serving(handler) as server, rxws.connect(server.url) as socket:
        for number in range(5):
            answer = await socket.request(f"{number}", matches=lambda message: message.startswith("answer"))
            assert answer == f"answer {number}"
            await asyncio.sleep(0.3)
            assert await socket.receive() == f"push {number}"
        assert len(server.sockets) == 1
        assert server.sockets[0].rtt is not None
