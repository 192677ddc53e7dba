"""A socket of whatever kind is freed when it ends, however it ends: Python's collector finds nothing of it."""

import asyncio
import base64
import gc
import hashlib
import logging
import socket as sockets
import struct
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws import operators as rxops
from rxws.recording import keep
from rxws.wires.aiohttp.handshake import MAGIC
from tests.integration.raw import CLOSE, PING, TEXT, frame, masked
from tests.integration.server import Server, running

BOTH_LOOPS = True
TIMES = 5
ALLOWED = 2.0
"""Objects of a socket that may be left to the collector, besides those that aiohttp by hand leaves."""

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.fixture(autouse=True)
def _quiet(own_heap: None) -> Iterator[None]:
    """Log nothing: a record keeps all that is in its traceback. Collect nothing but what a test has left."""
    loggers = [logging.getLogger(name) for name in ("rxws", "aiohttp", "asyncio")]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    yield
    for logger in loggers:
        logger.setLevel(logging.NOTSET)


async def left_by(act: Callable[[], Awaitable[object]], number: int = TIMES) -> tuple[float, dict[str, float]]:
    """Count what the collector finds after an act that was repeated, for each time, and what kinds it is of."""
    for _ in range(2):
        await act()
    await asyncio.sleep(0.02)
    gc.collect()
    gc.disable()
    try:
        for _ in range(number):
            await act()
        await asyncio.sleep(0.02)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        kinds = Counter(type(thing).__qualname__ for thing in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.collect()
    return kinds.total() / number, {kind: count / number for kind, count in kinds.most_common(20)}


async def check(act: Callable[[], Awaitable[object]], reference: float = 0.0) -> None:
    number, kinds = await left_by(act)
    assert number <= reference + ALLOWED, kinds


# A server's


class Peer:
    """A client that leaves nothing to the collector itself."""

    def __init__(self, sock: sockets.socket) -> None:
        self.sock = sock

    def send(self, opcode: int, data: bytes = b"", **form: Any) -> None:
        self.sock.send(frame(opcode, data, **form))

    async def receive(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.sock, 65536)

    async def leave(self) -> None:
        """Say that nothing more comes, and wait until the server has closed the connection."""
        with suppress(OSError):
            self.sock.shutdown(sockets.SHUT_WR)
        await self.gone()

    async def gone(self) -> None:
        """Wait until the server has closed the connection."""
        with suppress(OSError):
            while await self.receive():
                pass


@asynccontextmanager
async def connected(port: int, path: str, headers: str = "") -> AsyncIterator[Peer]:
    sock = sockets.socket()
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    sock.send(
        f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n".encode()
    )
    peer = Peer(sock)
    await peer.receive()
    try:
        yield peer
    finally:
        sock.close()
        await asyncio.sleep(0.005)


def composes(incoming: Observable[Any]) -> Observable[Any]:
    return incoming.pipe(ops.map(str.upper), ops.filter(bool))


def wires(incoming: Observable[Any], outgoing: Subject[Any], errors: Subject[Any]) -> None:
    errors.subscribe(lambda error: None)
    incoming.subscribe(outgoing)


def owns(incoming: Observable[Any], outgoing: Subject[Any]) -> Any:
    return [incoming.subscribe(outgoing)]


async def loops(socket: rxws.WebSocket[Any, Any]) -> None:
    async for message in socket:
        socket.outgoing.on_next(message)


async def receives(socket: rxws.WebSocket[Any, Any]) -> None:
    while True:
        socket.outgoing.on_next(await socket.receive())


async def awaits(incoming: Observable[Any], outgoing: Subject[Any]) -> Observable[Any]:
    outgoing.on_next(await incoming.pipe(ops.first()))
    return incoming


async def generates(incoming: Observable[Any]) -> AsyncIterator[str]:
    async for message in rxops.to_async_iterable(incoming):
        yield message


def maps(incoming: Observable[Any]) -> Observable[Any]:
    async def slowly(message: str) -> str:
        await asyncio.sleep(0)
        return message

    return incoming.pipe(rxops.map_async(slowly, max_concurrent=2), rxops.buffered(10))


def looks(socket: rxws.WebSocket[Any, Any]) -> Observable[Any]:
    """Make all streams that a socket makes on demand."""
    keep(socket)
    for stream in (*socket, socket.closed, socket.dropped, socket.undelivered):
        stream.subscribe(lambda item: None, lambda error: None)
    return socket.incoming


def fails(incoming: Observable[Any]) -> Observable[Any]:
    return incoming.pipe(ops.map(lambda message: 1 / 0))


async def raises(incoming: Observable[Any], errors: Subject[Any]) -> None:
    errors.subscribe()
    await incoming.pipe(ops.first())
    raise ValueError("no")


def closes(incoming: Observable[Any]) -> Observable[Any]:
    def close(message: str) -> None:
        raise rxws.Close(4001, "bye")

    return incoming.pipe(ops.map(close))


async def raises_close(incoming: Observable[Any]) -> None:
    await incoming.pipe(ops.first())
    raise rxws.Close(4001, "bye")


async def pushes() -> AsyncIterator[str]:
    while True:
        yield "tick"
        await asyncio.sleep(0.001)


def overflows(outgoing: Subject[Any]) -> None:
    for _ in range(20):
        outgoing.on_next(bytes(100_000))


async def accepts(request: web.Request) -> web.StreamResponse:
    async with rxws.accept(request) as socket:
        async for message in socket:
            socket.outgoing.on_next(message)
    return socket.response


async def attaches(request: web.Request) -> web.StreamResponse:
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    socket = rxws.attach(ws)
    socket.incoming.subscribe(socket.outgoing)
    await socket.closed
    return ws


async def by_hand(request: web.Request) -> web.StreamResponse:
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    async for message in ws:
        if message.type is WSMsgType.TEXT:
            await ws.send_str(message.data)
    return ws


REACTIVE = (composes, wires, owns, loops, receives, awaits, generates, maps, looks)
ENDING = (fails, raises, closes, raises_close, overflows)
PLAIN = (accepts, attaches, by_hand)


@asynccontextmanager
async def everything() -> AsyncIterator[Server]:
    app = web.Application()
    hub = rxws.setup(app)
    options: dict[str, Any] = {"max_msg_size": 10_000, "close_timeout": 0.05}
    for handler in (*REACTIVE, *ENDING, pushes):
        app.router.add_get(f"/{handler.__name__}", rxws.websocket(**options)(handler))
        squeezed = rxws.websocket(**options, compress=True)(handler)
        app.router.add_get(f"/squeezed-{handler.__name__}", squeezed)
    for handler in PLAIN:
        app.router.add_get(f"/{handler.__name__}", handler)
    async with running(app) as server:
        server.hub = hub  # which does not note the sockets
        yield server


async def peer_closes(peer: Peer) -> None:
    peer.send(CLOSE, struct.pack("!H", 1000))
    await peer.gone()


async def peer_leaves(peer: Peer) -> None:
    """Close the connection without a close frame."""


async def peer_resets(peer: Peer) -> None:
    peer.sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))


async def peer_breaks_the_protocol(peer: Peer) -> None:
    peer.send(TEXT, b"a", rsv=0x70)
    await peer.leave()


async def peer_sends_what_is_no_utf_8(peer: Peer) -> None:
    peer.send(TEXT, b"\xff")
    await peer.leave()


async def peer_sends_too_much(peer: Peer) -> None:
    peer.send(TEXT, bytes(20_000))
    await peer.leave()


async def peer_pings(peer: Peer) -> None:
    peer.send(PING, b"a")
    await peer.receive()
    await peer_closes(peer)


WAYS = (
    peer_closes,
    peer_leaves,
    peer_resets,
    peer_breaks_the_protocol,
    peer_sends_what_is_no_utf_8,
    peer_sends_too_much,
    peer_pings,
)


async def visit(server: Server, path: str, way: Callable[[Peer], Awaitable[object]]) -> None:
    """Open a connection, have a message echoed, and end it."""
    async with connected(server.port, path) as peer:
        peer.send(TEXT, b"a")
        await peer.receive()
        await way(peer)
    assert server.hub is not None
    while len(server.hub):
        await asyncio.sleep(0.001)


async def visit_in_all_ways(server: Server, path: str) -> None:
    for way in WAYS:
        await visit(server, path, way)


async def left_by_hand(server: Server) -> float:
    """Count what aiohttp leaves of a socket by hand: with Python 3.11's asyncio, the transport."""
    number, _ = await left_by(lambda: visit(server, "by_hand", peer_closes))
    assert number < 15
    return number


@pytest.mark.parametrize("handler", [*REACTIVE, accepts, attaches, pushes], ids=lambda handler: handler.__name__)
async def test_a_servers_socket(handler: Callable[..., Any]) -> None:
    """Nothing is left of a server's socket that the peer ends, whatever its handler is."""
    async with everything() as server:
        reference = await left_by_hand(server)
        await check(partial(visit_in_all_ways, server, handler.__name__), reference * len(WAYS))


async def test_a_socket_that_compresses() -> None:
    """Nothing is left of a socket on the wire for compressed messages."""
    async with everything() as server:
        reference = await left_by_hand(server)
        await check(partial(visit_in_all_ways, server, "squeezed-composes"), reference * len(WAYS))


@pytest.mark.parametrize("handler", ENDING, ids=lambda handler: handler.__name__)
async def test_a_socket_that_its_handler_ends(handler: Callable[..., Any]) -> None:
    """Nothing is left of a socket whose handler fails, or closes it."""
    async with everything() as server:
        reference = await left_by_hand(server)
        await check(partial(visit, server, handler.__name__, Peer.gone), reference)
        await check(partial(visit, server, handler.__name__, Peer.leave), reference)


@pytest.mark.since_aiohttp(3, 14, 0)  # older ones keep the task of the last request of a connection
async def test_a_handshake_that_is_refused() -> None:
    """Nothing is left of a handshake that rxws refuses; of what a handler raises, aiohttp keeps the frames."""

    async def ask(path: str, headers: str) -> None:
        async with connected(server.port, path, headers) as peer:
            peer.sock.shutdown(sockets.SHUT_WR)
            await peer.gone()

    async with everything() as server:
        reference = await left_by_hand(server)
        await check(lambda: ask("composes", "Origin: https://evil.example\r\n"), reference)
        await check(lambda: ask("composes", "Content-Length: 1\r\n\r\na"), reference)
        assert server.hub is not None
        server.hub.max_connections = 0
        await check(lambda: ask("composes", ""), reference)


async def test_a_socket_that_we_end() -> None:
    """Nothing is left of a server's socket that its own side ends."""

    async def end(how: Callable[[rxws.WebSocket[Any, Any]], object]) -> None:
        async with connected(server.port, "composes") as peer:
            how(next(iter(hub)))
            await peer.leave()
        while len(hub):
            await asyncio.sleep(0.001)

    async with everything() as server:
        assert server.hub is not None
        hub, reference = server.hub, await left_by_hand(server)
        for how in (
            lambda socket: socket.close(4001, "bye"),
            lambda socket: socket.dispose(),
            lambda socket: socket.subscription.dispose(),
            lambda socket: socket.outgoing.on_completed(),
            lambda socket: socket.outgoing.on_error(ValueError("no")),
            lambda socket: socket._life.abort(),
        ):
            await check(partial(end, how), reference)


# A client's


class Feed(asyncio.Protocol):
    """A server that leaves nothing to the collector itself; the path says how it ends the connection."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.path, self.greeted = transport, "", False

    def connection_lost(self, exc: Exception | None) -> None:
        del self.transport

    def data_received(self, data: bytes) -> None:
        if not self.path:
            head = data.decode()
            self.path = head.split()[1]
            if self.path == "/refuse":
                self.transport.write(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\nno")
                self.transport.close()
                return
            key = next(line.split()[1] for line in head.splitlines() if line.lower().startswith("sec-websocket-key"))
            accept = base64.b64encode(hashlib.sha1(key.encode() + MAGIC).digest()).decode()
            if self.path == "/wrong":
                accept = "wrong"
            squeezed = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if self.path == "/squeeze" else ""
            self.transport.write(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept}\r\n{squeezed}\r\n".encode()
            )
            return
        while data:
            opcode, size = data[0] & 0xF, data[1] & 0x7F
            payload, data = masked(data[6 : 6 + size], data[2:6]), data[6 + size :]
            if opcode == CLOSE:
                self.transport.write(b"\x88\x02\x03\xe8")
                self.transport.close()
            elif opcode == PING:
                self.transport.write(bytes([0x8A, size]) + payload)
            elif not self.greeted:
                self.greeted = True
                self.transport.write(b"\x81\x01a")
                match self.path:
                    case "/close":
                        self.transport.write(b"\x88\x02\x0f\xa0")
                    case "/violate":
                        self.transport.write(b"\xf1\x01a")
                    case "/leave":
                        self.transport.close()
                    case _:
                        pass


@asynccontextmanager
async def feeding() -> AsyncIterator[str]:
    server = await asyncio.get_running_loop().create_server(Feed, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


AGAIN = rxws.Backoff(initial=0.001, max_attempts=1)
CLIENTS: dict[str, dict[str, Any]] = {
    "once": {},
    "again": {"reconnect": AGAIN},
    "squeezed": {"compress": True},
    "again, squeezed": {"compress": True, "reconnect": AGAIN},
}
ENDS: dict[str, Callable[[rxws.ClientWebSocket[Any, Any]], object]] = {
    "close": lambda socket: socket.close(4001, "bye"),
    "completed": lambda socket: socket.outgoing.on_completed(),
    "fails": lambda socket: socket.outgoing.on_error(ValueError("no")),
    "abort": lambda socket: socket._life.abort(),
}


async def use(
    session: aiohttp.ClientSession | None, url: str, end: Callable[[Any], object] | None, **options: Any
) -> None:
    """Connect, get an answer, and leave: by an end of ours, or when the peer has ended it."""
    with suppress(rxws.ConnectError, rxws.Close):
        async with rxws.connect(url, session=session, close_timeout=0.5, **options) as socket:
            socket.errors.subscribe(lambda error: None)
            socket.states.subscribe(lambda state: None)
            socket.outgoing.on_next("a")
            await socket.receive()
            if end is not None:
                end(socket)
            if end is not None or url.endswith(("/close", "/leave", "/violate")):
                await socket.closed


async def use_by_hand(session: aiohttp.ClientSession, url: str) -> None:
    async with session.ws_connect(f"{url}/stay") as ws:
        await ws.send_str("a")
        await ws.receive()


@pytest.mark.parametrize("path", ["stay", "close", "leave", "violate", "refuse", "wrong", "squeeze"])
async def test_a_clients_socket(path: str) -> None:
    """Nothing is left of a client's socket that the peer ends or refuses, with and without `reconnect`."""
    async with feeding() as url, aiohttp.ClientSession() as session:
        reference, _ = await left_by(lambda: use_by_hand(session, url))
        for options in CLIENTS.values():
            await check(partial(use, session, f"{url}/{path}", None, **options), reference)


@pytest.mark.parametrize("end", ENDS)
async def test_a_client_that_leaves(end: str) -> None:
    """Nothing is left of a client's socket that its own side ends, with a session of its own, too."""
    async with feeding() as url, aiohttp.ClientSession() as session:
        reference, _ = await left_by(lambda: use_by_hand(session, url))
        for options in CLIENTS.values():
            await check(partial(use, session, f"{url}/stay", ENDS[end], **options), reference)
        await check(partial(use, None, f"{url}/stay", ENDS[end]), reference)


async def test_a_client_that_rotates() -> None:
    """Nothing is left of the connections of a socket that has had several, and of what it was asked."""

    async def rotate() -> None:
        async with rxws.connect(f"{url}/stay", session=session, reconnect=rxws.Backoff(initial=0.001)) as socket:
            await socket.request("a", matches=lambda message: True)
            opened = socket.states.pipe(
                ops.filter(lambda state: isinstance(state, rxws.Open)), ops.skip(1), ops.first()
            )
            waiting = asyncio.ensure_future(opened)
            await asyncio.sleep(0)
            socket.rotate()
            await waiting
            socket.outgoing.on_next("a")
            await socket.receive()

    async with feeding() as url, aiohttp.ClientSession() as session:
        reference, _ = await left_by(lambda: use_by_hand(session, url))
        await check(rotate, 2 * reference)


# What is counted


async def test_a_socket_is_gone_when_it_has_ended() -> None:
    """Not only is it no garbage: timers, tasks, and contexts that go on do not keep it either."""
    gone: list[weakref.ref[Any]] = []

    def watches(socket: rxws.WebSocket[Any, Any]) -> Observable[Any]:
        gone.append(weakref.ref(socket))
        return socket.incoming

    app = web.Application()
    app.router.add_get("/watches", rxws.websocket(watches))
    hub = rxws.setup(app)
    async with running(app) as server:
        server.hub = hub
        gc.disable()
        try:
            for way in WAYS:
                await visit(server, "watches", way)
            await asyncio.sleep(0.02)
            assert [watched() for watched in gone] == [None] * len(WAYS)
        finally:
            gc.enable()


async def test_what_is_counted() -> None:
    """The count sees what it is about: what aiohttp by hand leaves of a connection that is reset."""
    async with everything() as server:
        assert (await left_by(lambda: visit(server, "by_hand", peer_resets)))[0] > await left_by_hand(server) + 10
