"""A user's code, as a type checker sees it: checked, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, assert_type

import aiohttp
import msgspec
from aiohttp import web
from reactivex import Observable, abc
from reactivex import operators as ops
from reactivex.subject import ReplaySubject, Subject

import rxws
from rxws.client.connecting import Connect
from rxws.rooms import Room
from rxws.topics import Present, Topics

routes = web.RouteTableDef()


class Tick(msgspec.Struct, tag=True):
    symbol: str
    bid: float


def symbol_of(tick: Tick) -> str:
    return tick.symbol


def bid_of(tick: Tick) -> float:
    return tick.bid


@routes.get("/shout")
@rxws.websocket
def shout(incoming: Observable[str]) -> Observable[str]:
    return incoming.pipe(ops.map(str.upper))


@rxws.websocket
def counts(incoming: Observable[str]) -> list[abc.DisposableBase]:
    return [incoming.subscribe(print)]


@rxws.websocket(heartbeat=5)
async def waits(socket: rxws.WebSocket[str | bytes, str]) -> None:
    incoming, outgoing, errors = socket
    assert_type(incoming, Observable[str | bytes])
    assert_type(outgoing, Subject[str | rxws.Close])
    assert_type(errors, Subject[Exception])
    assert_type(await socket.receive(), str | bytes)
    assert_type(socket.request.match_info["room"], str)
    async for message in socket:
        assert_type(message, str | bytes)


@rxws.websocket(codec=rxws.codecs.msgspec(Tick))
def echo(incoming: Observable[Tick]) -> Observable[Tick]:
    return incoming


@rxws.websocket(codec=rxws.codecs.msgspec(Tick, sends=str))
def symbols(incoming: Observable[Tick]) -> Observable[str | rxws.Close]:
    return incoming.pipe(ops.map(symbol_of))


@routes.get("/ticks")
@rxws.websocket(
    codec=rxws.codecs.msgspec(Tick),
    heartbeat=None,
    overflow=rxws.latest_by(lambda tick: tick.symbol),
    protocols={"v1.json": rxws.json},
    origins=["https://example.com"],
)
async def ticks(socket: rxws.WebSocket[Tick, Tick], errors: Subject[Exception]) -> AsyncIterator[Tick]:
    errors.subscribe(print)
    yield Tick("EURUSD", 1.07)


rooms: rxws.Rooms[dict[str, str]] = rxws.Rooms()


@rxws.websocket(codec=rxws.json)
def chat(incoming: Observable[str]) -> Observable[dict[str, str]]:
    room = rooms["tea"]
    assert_type(room, Room[dict[str, str]])
    incoming.pipe(ops.map(lambda text: {"text": text})).subscribe(room)
    room.on_next({"text": "welcome"})
    room.on_next("text")  # type: ignore[arg-type]
    print(len(rooms), "tea" in rooms, *rooms)
    return room


class Entrance:
    @rxws.websocket(codec=rxws.json, max_buffered=100_000, overflow="drop_oldest")
    async def enter(self, request: web.Request, outgoing: Subject[Any]) -> None:
        outgoing.on_next({"room": request.match_info["room"]})
        raise rxws.Close(4001, "bye")


async def accepted(request: web.Request) -> web.StreamResponse:
    async with rxws.accept(request) as texts:
        assert_type(texts, rxws.WebSocket[str | bytes, str | bytes])
    async with rxws.accept(request, codec=rxws.codecs.msgspec(Tick), close_timeout=1.0) as socket:
        assert_type(socket.incoming, Observable[Tick])
        socket.outgoing.on_next(rxws.Close(4001))
        assert_type(await socket.closed, rxws.Close)
        assert_type(socket.stats.rtt, float | None)
        assert_type(socket.subscription, abc.DisposableBase | None)
        incoming, outgoing, errors = socket
        assert_type(incoming, Observable[Tick])
        assert_type(outgoing, Subject[Tick | rxws.Close])
        assert_type(errors, Subject[Exception])
        assert_type(socket.request, web.Request)
        socket.close(4001, "bye")
    async with rxws.accept(request, protocols={"ticks": rxws.codecs.msgspec(Tick), "": rxws.json}) as either:
        assert_type(either, rxws.WebSocket[Any, Any])
    return socket.response


async def attached() -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect("ws://localhost") as ws:
        incoming, outgoing = ReplaySubject[str](), Subject[str]()
        socket = rxws.attach(ws, incoming, outgoing, heartbeat=5)
        await socket.closed
        assert_type(rxws.attach(ws), rxws.WebSocket[str | bytes, str | bytes])
        assert_type(rxws.attach(ws, codec=rxws.codecs.msgspec(Tick)), rxws.WebSocket[Tick, Tick])
        rxws.attach(ws, outgoing=Subject[int]())  # type: ignore[arg-type]
        rxws.attach(ws, compress=True)  # type: ignore[call-overload]


async def token() -> dict[str, str]:
    return {"Authorization": "Bearer token"}


async def connected() -> None:
    async with rxws.connect("ws://localhost", headers=token) as texts:
        assert_type(texts, rxws.ClientWebSocket[str | bytes, str | bytes])
    backoff = rxws.Backoff(initial=1, rotate_every=3600, final=lambda because: isinstance(because, rxws.Close))
    socket = await rxws.connect(
        lambda: "ws://localhost",
        codec=rxws.codecs.msgspec(Tick, sends=str),
        reconnect=backoff,
        offline=lambda message: rxws.expire(5) if message == "EURUSD" else "drop",
    )
    assert_type(socket.incoming, Observable[Tick])
    topic = socket.multiplex(subscribe="EURUSD", matches=lambda tick: tick.symbol == "EURUSD")
    assert_type(topic, Observable[Tick])
    incoming, outgoing, errors = socket
    assert_type(incoming, Observable[Tick])
    assert_type(outgoing, Subject[str | rxws.Close])
    assert_type(errors, Subject[Exception])
    assert_type(await socket.request("time?", matches=lambda tick: tick.bid > 0, timeout=1), Tick)
    socket.states.subscribe(lambda state: print(state.close if isinstance(state, rxws.Closed) else state))
    socket.rotate()


class Packets:
    """Keeps what is not whole."""

    def messages(self, data: str | bytes) -> Iterator[Tick]:
        yield Tick(str(data), 1.0)

    def frames(self, message: Tick | str) -> list[str | bytes]:
        return [str(message)]


class Counting:
    def __init__(self, first: int = 0) -> None:
        self.number = first

    def decode(self, data: str | bytes) -> int:
        return len(data)

    def encode(self, message: int) -> bytes:
        return bytes(message)


class Bytewise:
    """Is first seen as a class, beside names of protocols: pyright remembers what it found."""

    def decode(self, data: str | bytes) -> int:
        return len(data)

    def encode(self, message: int) -> bytes:
        return bytes(message)


def lengths(incoming: Observable[int]) -> Observable[int]:
    return incoming


def with_classes_and_protocols() -> None:
    assert_type(rxws.connect("ws://localhost", codec=Bytewise, protocols=["bytes"]), Connect[int, int])
    assert_type(rxws.feed("ws://localhost", codec=Bytewise, protocols=["bytes"]), rxws.SharedFeed[int])
    assert_type(rxws.connect("ws://localhost", codec=Bytewise(), protocols=["bytes"]), Connect[int, int])
    rxws.websocket(codec=Bytewise, protocols=["bytes"])(lengths)


def accepted_with_a_class(request: web.Request) -> None:
    accepting = rxws.accept(request, codec=Bytewise, protocols=["bytes"])
    assert_type(accepting, AbstractAsyncContextManager[rxws.WebSocket[int, int]])


async def with_codecs_of_their_own(packets: rxws.codecs.StreamCodec[Tick, Tick]) -> None:
    assert_type(rxws.connect("ws://localhost", codec=packets), Connect[Tick, Tick])
    assert_type(rxws.connect("ws://localhost", codec=Packets()), Connect[Tick, Tick | str])
    assert_type(rxws.connect("ws://localhost", codec=Packets), Connect[Tick, Tick | str])
    assert_type(rxws.connect("ws://localhost", codec=Counting), Connect[int, int])
    assert_type(rxws.connect("ws://localhost", codec=lambda: Counting(1)), Connect[int, int])
    assert_type(rxws.connect("ws://localhost", codec=partial(Counting, 1)), Connect[int, int])
    assert_type(rxws.connect("ws://localhost", codec=rxws.json), Connect[Any, Any])
    assert_type(rxws.connect("ws://localhost", protocols={"ticks": packets}), Connect[Any, Any])
    assert_type(rxws.feed("ws://localhost", codec=Packets), rxws.SharedFeed[Tick])
    rxws.websocket(codec=Packets, protocols={"packets": Packets, "json": rxws.json, "ints": lambda: Counting(1)})
    rxws.connect("ws://localhost", codec=int)  # type: ignore[arg-type]
    rxws.connect("ws://localhost", codec=lambda: 3)  # type: ignore[arg-type, return-value]


def beating() -> None:
    beat = rxws.Heartbeat(15, ping={"op": "ping"}, pong=lambda message: message["op"] == "pong")
    assert_type(beat.seconds, float)
    rxws.connect("ws://localhost", codec=rxws.json, heartbeat=beat)
    rxws.websocket(heartbeat=rxws.Heartbeat(20, answer=lambda packet: "3" if packet == "2" else None))
    rxws.Heartbeat(20, "ping")  # type: ignore[call-arg]


def served() -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    app.router.add_get("/rooms/{room}", Entrance().enter)
    hub = rxws.setup(app, max_connections=100)
    hub.opened.subscribe(lambda socket: print(socket.remote, len(hub)))
    return app


@rxws.websocket  # type: ignore[arg-type]
def number(incoming: Observable[str]) -> Observable[int]:
    return incoming.pipe(ops.map(len))


@rxws.websocket()  # type: ignore[arg-type]
async def numbers(incoming: Observable[str]) -> AsyncIterator[int]:
    yield 1


@rxws.websocket(codec=Counting())  # type: ignore[arg-type]
async def words(incoming: Observable[int]) -> Observable[str]:
    return incoming.pipe(ops.map(str))


@rxws.websocket(codec=rxws.codecs.msgspec(Tick))  # type: ignore[arg-type]
def bids(incoming: Observable[Tick]) -> Observable[float]:
    return incoming.pipe(ops.map(bid_of))


@rxws.websocket  # type: ignore[arg-type]
def text(incoming: Observable[str]) -> str:
    return "hello"


@rxws.websocket(protocols={"words": Packets, "ints": Counting})
def either(incoming: Observable[Any]) -> Observable[Any]:
    return incoming


def wrong() -> None:
    rxws.websocket(hartbeat=5)  # type: ignore[call-overload]
    rxws.websocket(overflow="newest")  # type: ignore[call-overload]
    rxws.Close("4001")  # type: ignore[arg-type]
    rxws.setup(app=None)  # type: ignore[arg-type]
    feed = rxws.feed("ws://localhost", codec=rxws.codecs.msgspec(Tick), reconnect=rxws.Backoff(), headers=token)
    assert_type(feed, rxws.SharedFeed[Tick])
    feed.subscribe(lambda tick: print(tick.bid))
    feed.states.subscribe(print)
    assert_type(rxws.feed("ws://localhost"), rxws.SharedFeed[str | bytes])
    rxws.feed("ws://localhost", reconnect=True)  # type: ignore[call-overload]

    async def login(connection: rxws.Greeting[Tick, Tick]) -> None:
        await connection.send(Tick("EURUSD", 1.07))
        assert_type(await connection.receive(), Tick)

    rxws.connect("ws://localhost", codec=rxws.codecs.msgspec(Tick), greet=login)
    rxws.connect("ws://localhost", greet="hello")
    rxws.connect("ws://localhost", greet=lambda connection: connection.send("hello"), reconnect=rxws.Backoff())
    rxws.connect("ws://localhost", reconnect=True)  # type: ignore[call-overload]
    rxws.connect("ws://localhost", offline="burn")  # type: ignore[call-overload]
    rxws.connect("ws://localhost", origins="*")  # type: ignore[call-overload]


async def across_processes() -> None:
    async with rxws.topics("memory://", codec=rxws.json, max_age=60) as topics:
        assert_type(topics, Topics[Any])
        topic = topics[f"room.{rxws.topics.token('tea')}"]
        topic.messages.history(since="1-1").subscribe(
            lambda item: print(item.since if isinstance(item, rxws.topics.Gap) else item.position)
        )
        assert_type(topic.presence.joining("ada", {"color": "red"}), Observable[Present])
        topic.presence.subscribe(lambda present: print(*present.members))
        topic.latest().pipe(ops.map(str)).subscribe(topic)
