"""Every way there is for a connection to open and end, one function each, over real sockets and in memory."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import reactivex
from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from rxws.testing import serve
from tests.integration.raw import BINARY, CONTINUATION, PING, TEXT, Raw, frame, raw
from tests.integration.server import Server, serving

QUICK = {"close_timeout": 0.2, "heartbeat": 0.2, "message_timeout": 0.3, "message_rate": 2000, "max_msg_size": 100_000}

# Handlers


def echo(incoming: Observable[Any]) -> Observable[Any]:
    return reactivex.merge(incoming, reactivex.interval(1).pipe(ops.map(str)))


def once(incoming: Observable[Any]) -> Observable[Any]:
    return incoming.pipe(ops.take(1))


def fails(incoming: Observable[Any]) -> Observable[Any]:
    return incoming.pipe(ops.map(lambda _: 1 / 0))


def wired(incoming: Observable[Any], outgoing: Subject[Any], errors: Subject[Any]) -> None:
    errors.subscribe()
    incoming.subscribe(lambda message: outgoing.on_next(rxws.Close(4001, "bye")))


async def lives(incoming: Observable[Any]) -> None:
    await incoming.pipe(ops.first())
    await asyncio.sleep(60)


async def ends(socket: Any) -> None:
    async for message in socket:
        socket.outgoing.on_next(message)
        break


async def pushes() -> AsyncIterator[str]:
    while True:
        yield "tick"
        await asyncio.sleep(0.01)


async def pours() -> AsyncIterator[bytes]:
    while True:
        yield bytes(100_000)


def refuses() -> None:
    raise web.HTTPForbidden


def overflows(outgoing: Subject[Any]) -> None:
    for _ in range(60):
        outgoing.on_next(bytes(100_000))


async def accepts(request: web.Request) -> web.StreamResponse:
    async with rxws.accept(request, **QUICK) as socket:
        socket.outgoing.on_next(await socket.incoming.pipe(ops.first_or_default(default_value="nothing")))
    return socket.response


HANDLERS: list[Callable[..., Any]] = [echo, once, fails, wired, lives, ends, pushes, pours, refuses, overflows]


@asynccontextmanager
async def everything() -> AsyncIterator[Server]:
    """Serve all of them, each at its name."""
    app = web.Application()
    app.router.add_get("/accepts", accepts)
    for handler in HANDLERS:
        app.router.add_get(f"/{handler.__name__}", rxws.websocket(**QUICK)(handler))  # type: ignore[call-overload]
    async with serving(app=app) as server:
        yield server


# Peers: each gets a connection to the handler of its first argument

Way = Callable[[Raw], Awaitable[object]]
WAYS: list[tuple[Callable[..., Any], Way]] = []


def way(*handlers: Callable[..., Any]) -> Callable[[Way], Way]:
    def add(function: Way) -> Way:
        WAYS.extend((handler, function) for handler in handlers)
        return function

    return add


@way(echo, lives, ends, pushes, wired, accepts)
async def peer_closes(peer: Raw) -> None:
    peer.send_close(1000)
    await peer.receive_close()


@way(echo)
async def peer_closes_with_a_wrong_code(peer: Raw) -> None:
    peer.send_close(5000)
    await peer.receive_close()


@way(echo)
async def peer_closes_with_none_and_does_not_wait(peer: Raw) -> None:
    peer.send_close(None)


@way(echo, lives, ends, pushes, pours, wired, accepts)
async def peer_resets(peer: Raw) -> None:
    peer.reset()


@way(echo, lives, pushes, pours)
async def peer_ends(peer: Raw) -> None:
    peer.writer.close()


@way(echo, lives)
async def peer_resets_within_a_message(peer: Raw) -> None:
    peer.writer.write(b"\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff1234abc")
    peer.reset()


@way(echo, wired, fails, once, ends, accepts)
async def peer_sends_and_waits(peer: Raw) -> None:
    peer.send(TEXT, b"a")
    if (await peer.receive())[0] == TEXT:
        peer.send_close()


@way(echo)
async def peer_sends_what_is_no_utf_8(peer: Raw) -> None:
    peer.send(TEXT, b"\xff\xfe")
    await peer.receive_close()


@way(echo)
async def peer_breaks_the_protocol(peer: Raw) -> None:
    peer.send(TEXT, b"a", rsv=0x70)
    await peer.receive_close()


@way(echo)
async def peer_sends_too_much(peer: Raw) -> None:
    peer.writer.write(struct.pack("!BBQ", 0x82, 0xFF, 2**40) + bytes(2000))
    await peer.receive_close()


@way(echo, lives)
async def peer_never_finishes(peer: Raw) -> None:
    peer.send(BINARY, b"begin", fin=False)
    for _ in range(8):
        peer.send(CONTINUATION, fin=False)
        await asyncio.sleep(0.05)


@way(echo)
async def peer_floods(peer: Raw) -> None:
    peer.writer.write(frame(TEXT, b"x") * 5000)
    await peer.receive_close()


@way(pushes)
async def peer_floods_with_pings(peer: Raw) -> None:
    peer.writer.write(frame(PING, b"x") * 3000)
    await peer.receive_close()


@way(echo, wired)
async def peer_is_mute(peer: Raw) -> None:
    await peer.reader.read()


@way(pours, overflows)
async def peer_does_not_read(peer: Raw) -> None:
    await asyncio.sleep(0.5)


async def no_handshake(port: int) -> None:
    """Begin one, and leave."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /echo HTTP/1.1\r\nUpgrade: webs")
    await asyncio.sleep(0)
    writer.transport.abort()


async def refused(port: int, headers: str, path: str = "/echo") -> None:
    """Ask for what is not given."""
    with contextlib.suppress(AssertionError):
        async with raw(port, path, headers=headers):
            pass


async def come_and_go(server: Server, number: int) -> None:
    """Open and end one connection, in the way that its number says."""
    index = number % (len(WAYS) + 3)
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, RuntimeError):  # uvloop's, of a closed transport
        if index >= len(WAYS):
            match index - len(WAYS):
                case 0:
                    await no_handshake(server.port)
                case 1:
                    await refused(server.port, "Origin: https://evil.example\r\n")
                case _:
                    await refused(server.port, "", "/refuses")
            return
        handler, act = WAYS[index]
        stalls = act is peer_does_not_read
        async with raw(server.port, f"/{handler.__name__}", receive_buffer=4096 if stalls else None) as peer:
            async with asyncio.timeout(10):
                await act(peer)


# In memory

IN_MEMORY: list[Callable[[Any, Any], object]] = [
    lambda socket, peer: socket.close(4001),
    lambda socket, peer: socket.dispose(),
    lambda socket, peer: socket.outgoing.on_completed(),
    lambda socket, peer: socket.outgoing.on_error(rxws.Close(4001)),
    lambda socket, peer: socket.subscription.dispose(),
    lambda socket, peer: peer.close(),
    lambda socket, peer: peer.drop(),
    lambda socket, peer: peer.drop(ConnectionResetError()),
    lambda socket, peer: peer.violate(),
    lambda socket, peer: peer.ping(2000),
    lambda socket, peer: (peer.send_part(), peer.drop()),
]
_room = Subject[Any]()


async def come_and_go_in_memory(number: int) -> None:
    """Open and end one socket without a network."""
    socket, peer = serve(lambda incoming: _room.pipe(ops.merge(incoming)))
    peer.send("a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    IN_MEMORY[number % len(IN_MEMORY)](socket, peer)
    await socket.closed
