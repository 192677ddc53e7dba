"""Handlers and blocks on a server that a test plays: the handshake, its refusals, the options."""

import asyncio
import contextlib
import logging
from typing import Any

import pytest
from aiohttp import web
from multidict import CIMultiDict
from reactivex import Observable
from reactivex.disposable import Disposable

import rxws
import rxws.asgi
from rxws import operators as rxops
from tests.asgi.peer import Peer
from tests.streams import turns

VIRTUAL = True


@rxws.asgi.websocket
def echo(incoming: Observable[str]) -> Observable[str]:
    return incoming


def body(peer: Peer) -> tuple[int, str]:
    """Give the status and the body of a denial response."""
    start, end = peer.sent
    assert [start["type"], end["type"]] == ["websocket.http.response.start", "websocket.http.response.body"]
    assert (b"content-length", str(len(end["body"])).encode()) in start["headers"]
    return start["status"], end["body"].decode()


async def test_subprotocol() -> None:
    """The first subprotocol of the client's that is known is chosen, with its codec."""
    peer = Peer(subprotocols=["v9", "v2", "v1"])

    @rxws.asgi.websocket(protocols={"v1": rxws.codecs.text, "v2": rxws.json})
    def handler(incoming: Observable[Any], socket: Any) -> Any:
        protocols.append(socket.protocol)
        return incoming

    protocols: list[str] = []
    peer.run(handler).text('{"a": 1}')
    await turns()
    assert (peer.sent[0]["subprotocol"], protocols, peer.texts) == ("v2", ["v2"], ['{"a":1}'])
    peer.leave()
    await peer.task


async def test_path_parameters_and_request() -> None:
    """A handler asks for path parameters, for the request, and for the peer's address."""
    peer = Peer(path_params={"room": "a"}, path="/rooms/a")

    @rxws.asgi.websocket
    async def handler(room: str, request: Any, socket: Any, user: str = "nobody") -> Any:
        yield f"{room} {user} {request.path} {socket.remote}"

    await peer.run(handler).task
    assert peer.texts == ["a nobody /rooms/a 192.0.2.1"]
    assert peer.sent[-1]["code"] == 1000


async def test_an_iterable_that_is_returned() -> None:
    """An iterable that a handler returns gets what has come with the opening, though it begins a turn later."""
    peer = Peer()
    peer.text("a", "b")
    peer.serve(lambda incoming: rxops.from_async_iterable(rxops.to_async_iterable(incoming)))
    await turns()
    assert peer.texts == ["a", "b"]
    peer.leave()
    await peer.task


async def test_method_is_an_application() -> None:
    class Rooms:
        greeting = "hello"

        @rxws.asgi.websocket
        async def join(self, incoming: Any) -> Any:
            yield self.greeting

    peer = Peer()
    await peer.run(Rooms().join).task
    assert peer.texts == ["hello"]


@pytest.mark.parametrize(
    ("headers", "scheme", "status"),
    [
        ([(b"origin", b"https://evil.example")], "ws", 403),
        ([(b"origin", b"http://localhost")], "wss", 403),
        ([(b"origin", b"http://localhost"), (b"origin", b"http://localhost")], "ws", 403),
        ([(b"origin", b"http://localhost")], "ws", None),
        ([(b"origin", b"https://localhost")], "wss", None),
        ([], "ws", None),
    ],
)
async def test_origins(headers: Any, scheme: str, status: int | None, caplog: pytest.LogCaptureFixture) -> None:
    """A page of another site is refused, and told of once."""
    life = rxws.asgi.lifespan()
    for _ in range(2):
        peer = Peer(headers=[(b"host", b"localhost"), *headers], scheme=scheme).run(life.around(echo))
        peer.leave()
        await peer.task
        assert peer.kinds[0] == ("accept" if status is None else "http.response.start")
        if status:
            assert body(peer)[0] == status
            assert "Origin" in body(peer)[1] or "may not connect" in body(peer)[1]
    assert life.hub.refused_total == ({} if status is None else {"origin": 2})
    refused = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(refused) == (status is not None)
    await life.stop()


async def test_refused_without_the_extension() -> None:
    """A server without denial responses is told to close, which it makes a 403 of."""
    peer = Peer(extensions=None, headers=[(b"origin", b"https://evil.example")]).run(echo)
    await peer.task
    assert peer.sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]


async def test_http_exception_of_aiohttp() -> None:
    """A handler module that was written for aiohttp raises its exceptions: they are the response."""
    ends: list[Any] = []
    headers = CIMultiDict([("Retry-After", "3"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    refusal = web.HTTPTooManyRequests(text="slow down", headers=headers)
    refusal.set_cookie("tries", "3", httponly=True)
    refusal.del_cookie("session")

    @rxws.asgi.websocket
    def handler(socket: Any) -> None:
        socket.closed.subscribe(ends.append)
        raise ExceptionGroup("checks", [refusal])

    peer = Peer().run(handler)
    await peer.task
    assert body(peer) == (429, "slow down")
    assert (b"retry-after", b"3") in peer.sent[0]["headers"]
    cookies = [value.decode() for name, value in peer.sent[0]["headers"] if name == b"set-cookie"]
    assert cookies[:3] == ["a=1", "b=2", "tries=3; HttpOnly; Path=/"]
    assert cookies[3].startswith('session="";')
    assert "Max-Age=0" in cookies[3]
    assert ends == [rxws.Close.received(1006)]


async def test_error_of_a_def_is_1011() -> None:
    """Any other error is that of an open socket, as on aiohttp."""

    @rxws.asgi.websocket
    def handler() -> None:
        raise ValueError("secret")

    peer = Peer().run(handler)
    await peer.task
    assert peer.sent[-1] == {"type": "websocket.close", "code": 1011, "reason": "Unexpected Error"}


async def test_missing_argument_is_an_error() -> None:
    """A parameter that nobody gives is the server's 500, and a line that says so."""

    @rxws.asgi.websocket
    def handler(room: str) -> None: ...

    peer = Peer().run(handler)
    with pytest.raises(TypeError, match="asks for 'room'"):
        await peer.task
    assert peer.sent == []


@pytest.mark.parametrize("when", ["before", "while it is accepted"])
async def test_client_that_leaves_during_the_handshake(when: str) -> None:
    """It is no error, and no socket."""
    life, peer = rxws.asgi.lifespan(), Peer()
    if when == "before":
        await peer.receive()
        peer.leave(1006)
    else:
        peer.broken = OSError("gone")
    owned = Disposable()

    @rxws.asgi.websocket
    def handler() -> Disposable:
        return owned

    await peer.run(life.around(handler)).task
    assert peer.sent == []
    assert (len(life.hub), life.hub.opened_total) == (0, 0)
    assert owned.is_disposed is (when != "before")  # else it was not asked
    await life.stop()


async def test_codec_factory_that_raises() -> None:
    """It is the server's 500, and leaves no place taken."""

    def make() -> Any:
        raise ValueError("no codec")

    life = rxws.asgi.lifespan(max_connections=1)
    app = life.around(rxws.asgi.websocket(codec=make)(lambda incoming: incoming))
    for _ in range(3):
        with pytest.raises(ValueError, match="no codec"):
            await Peer().run(app).task
    await life.stop()


async def test_http_and_lifespan() -> None:
    """A handler that is the whole application answers 426, and has a lifespan."""
    for kind in ("http", "lifespan", "other"):
        peer = Peer(type=kind)
        await peer.receive()
        peer.put("lifespan.startup")
        peer.put("lifespan.shutdown")
        peer.run(echo)
        if kind == "other":
            with pytest.raises(RuntimeError, match="no scope of the type 'other'"):
                await peer.task
        else:
            await peer.task
        if kind == "http":
            assert peer.sent[0]["status"] == 426
        elif kind == "lifespan":
            assert peer.kinds == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


REFUSED_OPTIONS: Any = [
    {"compress": True},
    {"compress": rxws.Deflate()},
    {"message_timeout": 5},
    {"heartbeat": 5},
    {"heartbeat": rxws.Heartbeat(5)},
]


@pytest.mark.parametrize("options", REFUSED_OPTIONS, ids=lambda options: str(options)[:20])
def test_options_of_the_server(options: Any) -> None:
    """What the server does is refused at decoration, with what to do; that it is off is no option of the server's."""
    (name,) = options
    for decorate in (rxws.asgi.websocket, lambda **given: rxws.asgi.accept({}, None, None, **given)):
        with pytest.raises(TypeError, match=f"{name}.* has no effect here: on ASGI .* server"):
            decorate(**options)
    rxws.asgi.websocket(compress=False, message_timeout=None, heartbeat=None)


@pytest.mark.parametrize("options", [{"offline": "keep"}, {"max_msgsize": 3}])
def test_unknown_options(options: Any) -> None:
    with pytest.raises(TypeError, match="unknown option"):
        rxws.asgi.websocket(**options)


async def test_accept() -> None:
    """A block sends, receives, flushes and closes with 1000."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with rxws.asgi.accept(scope, receive, send, codec=rxws.json) as socket:
            await socket.send({"got": await socket.receive()})

    peer = Peer()
    peer.run(app).text("[1]")
    await peer.task
    assert peer.texts == ['{"got":[1]}']
    assert peer.sent[-1]["code"] == 1000


async def test_accept_that_raises() -> None:
    """What a block raises closes with 1011, and is raised on; a `Close` closes with its code."""

    async def fails(*asgi: Any) -> None:
        async with rxws.asgi.accept(*asgi):
            raise ValueError("secret")

    async def closes(*asgi: Any) -> None:
        async with rxws.asgi.accept(*asgi):
            raise rxws.Close(4001, "bye")

    peer = Peer().run(fails)
    with pytest.raises(ValueError, match="secret"):
        await peer.task
    assert peer.sent[-1]["code"] == 1011
    peer = Peer().run(closes)
    await peer.task
    assert peer.sent[-1]["code"] == 4001


async def test_accept_where_an_abort_must_be_an_error() -> None:
    """daphne keeps the connection of a block that has lost its peer, unless it is given an error."""

    async def reads(*asgi: Any) -> None:
        beat = rxws.Heartbeat(1, ping="ping", pong=lambda message: False)
        async with rxws.asgi.accept(*asgi, heartbeat=beat) as socket:
            await socket.receive()

    peer = Peer(asgi={"version": "3.0"}).run(reads)
    with pytest.raises(RuntimeError, match=r"cannot close with Close\(code=1006"):
        await peer.task


async def test_client_of_a_framework_sees_all_codes() -> None:
    """The test clients of Starlette and Litestar say nothing about ASGI; they are not daphne."""
    peer = Peer()
    del peer.scope["asgi"]
    peer.serve(lambda incoming: incoming)
    await turns()
    peer.sockets[0].close(1008, "no more")
    await peer.task
    assert (peer.sent[-1]["code"], peer.sent[-1]["reason"]) == (1008, "no more")


async def test_accept_that_is_refused() -> None:
    """The client has its answer, and the block is not entered."""
    entered = False

    async def app(*asgi: Any) -> None:
        nonlocal entered
        async with rxws.asgi.accept(*asgi):
            entered = True

    peer = Peer(headers=[(b"host", b"localhost"), (b"origin", b"https://evil.example")]).run(app)
    with pytest.raises(rxws.asgi.Denied, match=r"403: A page from 'https://evil\.example'"):
        await peer.task
    assert body(peer)[0] == 403
    peer = Peer()
    await peer.receive()
    peer.leave()
    peer.run(app)
    with pytest.raises(rxws.asgi.Denied, match="the client left during the handshake"):
        await peer.task
    assert (peer.sent, entered) == ([], False)


@pytest.mark.parametrize("stalls", [False, True])
async def test_refused_client_that_has_left(stalls: bool, caplog: pytest.LogCaptureFixture) -> None:
    """If the server no longer takes an answer, the handler does not fail, and the wait is as short as for others."""

    async def app(*asgi: Any) -> None:
        async with rxws.asgi.accept(*asgi, close_timeout=2):
            pass

    strangers = [(b"host", b"localhost"), (b"origin", b"https://evil.example")]
    for answer, raised in (
        (rxws.asgi.websocket(close_timeout=2)(lambda incoming: incoming), None),
        (app, "403: A page"),
    ):
        peer = Peer(headers=strangers)
        peer.stalled = stalls
        peer.broken = None if stalls else RuntimeError("the connection has ended")
        began = asyncio.get_running_loop().time()
        peer.run(answer)
        with contextlib.nullcontext() if raised is None else pytest.raises(rxws.asgi.Denied, match=raised):
            await peer.task
        assert asyncio.get_running_loop().time() - began == pytest.approx(2 if stalls else 0)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_server_that_never_accepts() -> None:
    """The answer to a handshake has a deadline, too."""
    peer = Peer()
    peer.stalled = True
    began = asyncio.get_running_loop().time()
    await peer.run(rxws.asgi.websocket(close_timeout=2)(lambda incoming: incoming)).task
    assert asyncio.get_running_loop().time() - began == pytest.approx(2)
