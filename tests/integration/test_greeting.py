"""Logins over real sockets, to a server that is strict about what comes first; through restarts."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from reactivex import operators as ops

import rxws
from tests.integration.server import running
from tests.streams import ended, watch

BOTH_LOOPS = True
QUICK = rxws.Backoff(initial=0.01, maximum=0.01)
INIT = {"type": "connection_init", "payload": {"token": "right"}}


class StrictServer:
    """Speaks as servers of graphql-transport-ws do, in aiohttp's own words.

    A connection begins with `connection_init` and its token, which is answered with `connection_ack`; anything else, or
    another token, is closed with 4401 or 4403; a second `connection_init` with 4429.
    """

    def __init__(self) -> None:
        self.heard: list[list[Any]] = []
        """What has come on each connection."""
        self.sockets: list[web.WebSocketResponse] = []
        self.ack_after = 0.0

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one connection."""
        ws = web.WebSocketResponse(protocols=["graphql-transport-ws"])
        await ws.prepare(request)
        self.sockets.append(ws)
        heard: list[Any] = []
        self.heard.append(heard)
        greeted = False
        async for frame in ws:
            assert frame.type is WSMsgType.TEXT
            message = json.loads(frame.data)
            heard.append(message)
            match message:
                case {"type": "connection_init"} if greeted:
                    await ws.close(code=4429, message=b"Too many initialization requests")
                case {"type": "connection_init", "payload": {"token": "right"}}:
                    await asyncio.sleep(self.ack_after)
                    greeted = True
                    await ws.send_json({"type": "connection_ack"})
                    await ws.send_json({"type": "hello", "number": len(self.heard)})
                case {"type": "connection_init", "payload": {"token": "slow"}}:
                    pass
                case {"type": "connection_init"}:
                    await ws.close(code=4403, message=b"Forbidden")
                case _ if not greeted:
                    await ws.close(code=4401, message=b"Unauthorized")
                case {"type": "subscribe"}:
                    await ws.send_json({"type": "next", "number": len(self.heard)})
                case _:
                    await ws.send_json({"type": "echo", "of": message})
        return ws

    async def restart(self) -> None:
        """Close all connections as a server that restarts."""
        sockets, self.sockets = self.sockets, []
        await asyncio.gather(*(ws.close(code=1012) for ws in sockets))

    @property
    def app(self) -> web.Application:
        """The application that has it at `/`."""
        app = web.Application()
        app.router.add_get("/", self.handle)
        return app


async def login(connection: rxws.Greeting[Any, Any], token: str = "right") -> None:
    """Log in, and wait for the acknowledgment."""
    await connection.send({"type": "connection_init", "payload": {"token": token}})
    answer = await connection.receive()
    assert answer == {"type": "connection_ack"}


async def test_strict_server_through_restarts() -> None:
    """Kept messages and subscriptions follow the login on each connection; nothing is lost, nothing comes twice."""
    strict = StrictServer()
    messages: list[Any] = []
    options: Any = {"codec": rxws.json, "protocols": ["graphql-transport-ws"], "reconnect": QUICK}
    async with running(strict.app) as server, rxws.connect(server.url, greet=login, **options) as socket:
        socket.incoming.subscribe(messages.append)
        undelivered = watch(u=socket.undelivered)
        socket.multiplex(subscribe={"type": "subscribe"}, matches=lambda _: True).subscribe()
        for number in range(1, 5):
            socket.outgoing.on_next({"kept": number})
            async with asyncio.timeout(5):
                while {"type": "next", "number": number} not in messages or echo(number) not in messages:
                    await asyncio.sleep(0.005)
            strict.ack_after = 0.05
            await strict.restart()
        assert socket.protocol == "graphql-transport-ws"
    assert all("kept" in message for _, message in undelivered[:-1])  # what no pong has proved, and nothing else
    assert [heard[0] for heard in strict.heard] == [INIT] * len(strict.heard)
    assert all(heard.count(INIT) == 1 for heard in strict.heard)
    assert [message["kept"] for heard in strict.heard for message in heard if "kept" in message] == [1, 2, 3, 4]
    hello = [message["number"] for message in messages if message["type"] == "hello"]
    assert hello[:4] == [1, 2, 3, 4]
    assert all(messages.count(message) == 1 for message in messages)


def echo(number: int) -> Any:
    """What the server answers to a message that was kept."""
    return {"type": "echo", "of": {"kept": number}}


@pytest.mark.parametrize(
    ("greet", "close"),
    [
        (None, rxws.Close(4401, "Unauthorized")),
        ({"type": "connection_init", "payload": {"token": "wrong"}}, rxws.Close(4403, "Forbidden")),
        (lambda connection: login(connection, "wrong"), rxws.Close(4403, "Forbidden")),
    ],
    ids=["none", "message", "function"],
)
async def test_refused_for_good(greet: Any, close: rxws.Close) -> None:
    """A login that is refused is the end, with the server's own close; so is none at all."""
    strict = StrictServer()
    async with running(strict.app) as server:
        async with rxws.connect(server.url, greet=greet, codec=rxws.json, reconnect=QUICK) as socket:
            socket.outgoing.on_next({"kept": 1})
            assert await ended(socket) == close
        assert len(strict.heard) == 1


async def test_single_connection_is_refused() -> None:
    """Without `reconnect`, entering raises the server's close."""
    strict = StrictServer()
    async with running(strict.app) as server:
        with pytest.raises(rxws.Close) as refused:
            await rxws.connect(server.url, greet=lambda connection: login(connection, "wrong"), codec=rxws.json)
        assert refused.value == rxws.Close(4403, "Forbidden")
        async with rxws.connect(server.url, greet=login, codec=rxws.json) as socket:
            assert await socket.receive() == {"type": "hello", "number": 2}


async def test_answer_and_more_in_one_segment() -> None:
    """What comes in one segment with the answer is the socket's, all of it, in order."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.receive_str()
        for number in range(500):
            await ws.send_str(str(number))
        await ws.receive()
        return ws

    async def greet(connection: rxws.Greeting[str | bytes, str]) -> None:
        await connection.send("begin")
        assert [await connection.receive() for _ in range(3)] == ["0", "1", "2"]
        await asyncio.sleep(0.05)

    app = web.Application()
    app.router.add_get("/", handle)
    async with running(app) as server, rxws.connect(server.url, greet=greet) as socket:
        log = watch(m=socket.incoming)
        async with asyncio.timeout(5):
            while len(log) < 497:
                await asyncio.sleep(0.005)
        assert log == [("m", str(number)) for number in range(3, 500)]


async def test_rotation_logs_in() -> None:
    """A successor logs in before it takes over."""
    strict = StrictServer()
    strict.ack_after = 0.05
    async with (
        running(strict.app) as server,
        rxws.connect(server.url, greet=login, codec=rxws.json, reconnect=QUICK) as socket,
    ):
        log = watch(m=socket.incoming)
        await asyncio.wait_for(socket.states.pipe(ops.first(lambda state: isinstance(state, rxws.Open))), 5)
        for number in range(20):
            if number == 5:
                socket.rotate()
            socket.outgoing.on_next({"kept": number})
            await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            while len([0 for _, message in log if message["type"] == "echo"]) < 20 or len(strict.heard) < 2:
                await asyncio.sleep(0.005)
        kept = [message["of"]["kept"] for _, message in log if message["type"] == "echo"]
        assert kept == list(range(20))
    assert [heard[0]["type"] for heard in strict.heard] == ["connection_init"] * 2
    assert sum(len(heard) for heard in strict.heard) == 22


async def test_slow_greeting_is_given_up() -> None:
    """`open_timeout` ends an attempt whose greeting is not answered; the server sees a close."""
    strict = StrictServer()
    options: Any = {"greet": lambda connection: login(connection, "slow"), "codec": rxws.json}
    async with running(strict.app) as server:
        with pytest.raises(rxws.ConnectError, match="the greeting was not done"):
            await rxws.connect(server.url, open_timeout=1, **options)
        assert strict.sockets[0].close_code == 1011
        async with rxws.connect(server.url, reconnect=QUICK, **options) as socket:
            async with asyncio.timeout(5):
                while len(strict.heard) < 2 or not strict.heard[1]:
                    await asyncio.sleep(0.005)
        assert await ended(socket) == rxws.Close()
        assert strict.sockets[1].close_code == 1000
