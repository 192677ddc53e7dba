"""A user's code on ASGI, as a type checker sees it: checked, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, assert_type

import msgspec
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
import rxws.asgi
from rxws.asgi.routes import AsgiHandler


class Tick(msgspec.Struct, tag=True):
    symbol: str
    bid: float


def bid_of(tick: Tick) -> float:
    return tick.bid


class Bytewise:
    """Is first seen as a class, beside names of protocols: pyright remembers what it found."""

    def decode(self, data: str | bytes) -> int:
        return len(data)

    def encode(self, message: int) -> bytes:
        return bytes(message)


def lengths(incoming: Observable[int]) -> Observable[int]:
    return incoming


def with_classes_and_protocols(scope: Any, receive: Any, send: Any) -> None:
    entering = rxws.asgi.accept(scope, receive, send, codec=Bytewise, protocols=["bytes"])
    assert_type(entering, AbstractAsyncContextManager[rxws.WebSocket[int, int]])
    assert_type(rxws.asgi.websocket(codec=Bytewise, protocols=["bytes"])(lengths), AsgiHandler)


@rxws.asgi.websocket
def shout(incoming: Observable[str]) -> Observable[str]:
    return incoming.pipe(ops.map(str.upper))


@rxws.asgi.websocket(codec=rxws.codecs.msgspec(Tick), overflow=rxws.latest_by(lambda tick: tick.symbol))
async def ticks(room: str, socket: rxws.WebSocket[Tick, Tick], errors: Subject[Exception]) -> AsyncIterator[Tick]:
    errors.subscribe(print)
    yield Tick(room, 1.07)


@rxws.asgi.websocket(heartbeat=rxws.Heartbeat(15, ping="ping", pong=lambda message: message == "pong"))
async def waits(socket: rxws.WebSocket[str | bytes, str]) -> None:
    assert_type(await socket.receive(), str | bytes)


@rxws.asgi.websocket(protocols={"ticks": rxws.codecs.msgspec(Tick), "": rxws.json})
def either(incoming: Observable[Any]) -> Observable[Any]:
    return incoming


async def accepted(websocket: Any) -> None:
    async with rxws.asgi.accept(websocket) as texts:
        assert_type(texts, rxws.WebSocket[str | bytes, str | bytes])
    async with rxws.asgi.accept(websocket, codec=rxws.codecs.msgspec(Tick), close_timeout=1.0) as socket:
        assert_type(socket.incoming, Observable[Tick])
        socket.outgoing.on_next(rxws.Close(4001))
        assert_type(await socket.closed, rxws.Close)
    async with rxws.asgi.accept(websocket, protocols={"ticks": rxws.codecs.msgspec(Tick)}) as any_of_them:
        assert_type(any_of_them, rxws.WebSocket[Any, Any])


def served(app: Any) -> None:
    life = rxws.asgi.lifespan(max_connections=100)
    assert_type(life, rxws.asgi.Lifespan)
    assert_type(life.hub, rxws.Hub)
    assert_type(rxws.asgi.setup(app, shutdown_code=4000), rxws.Hub)
    life.around(shout)


@rxws.asgi.websocket  # type: ignore[arg-type]  # what it returns is refused
def number(incoming: Observable[str]) -> Observable[int]:
    return incoming.pipe(ops.map(len))


@rxws.asgi.websocket(codec=rxws.codecs.msgspec(Tick))  # type: ignore[arg-type]  # so is this
def bids(incoming: Observable[Tick]) -> Observable[float]:
    return incoming.pipe(ops.map(bid_of))


def wrong(websocket: Any) -> None:
    rxws.asgi.websocket(hartbeat=5)  # type: ignore[call-overload]  # a misspelled option is refused
    rxws.asgi.accept(websocket, overflow="newest")  # type: ignore[call-overload]  # no policy has this name
    rxws.asgi.lifespan(max_connection=5)  # type: ignore[call-arg]  # a misspelled option is refused
    rxws.asgi.setup(websocket, shutdown_code="4001")  # type: ignore[arg-type]  # a code is a number
