"""Handlers in FastAPI and Starlette, on uvicorn, for a client that nobody here wrote."""

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import pytest
import reactivex
import websockets
from fastapi import Depends, FastAPI, HTTPException, WebSocketException
from fastapi.responses import JSONResponse
from reactivex import Observable
from reactivex import operators as ops
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from starlette.websockets import WebSocket

import rxws
import rxws.asgi
from tests.integration.asgi import AsgiServer

Eventually = Callable[..., Any]
pytestmark = pytest.mark.fast_wire  # once is enough: aiohttp has no part in it
DOCS = Path(__file__).parent.parent.parent / "docs"
PROTOCOLS = ["websockets-sansio", "wsproto"]
"""How uvicorn speaks WebSocket; `websockets`, which is deprecated, runs in tests/servers/test_asgi.py."""


@asynccontextmanager
async def running(app: Any, **config: Any) -> AsyncIterator[AsgiServer]:
    server = AsgiServer()
    await server.start(app, **config)
    server.watch(app.state.rxws_hub)
    try:
        yield server
    finally:
        await server.cleanup()


async def refusal(url: str, **options: Any) -> tuple[int, str]:
    """Connect, and give the status and the body of the refusal."""
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(url, **options)
    return refused.value.response.status_code, (refused.value.response.body or b"").decode()


opened = list[str]()


async def database() -> AsyncIterator[str]:
    opened.append("opened")
    yield "db"
    opened.append("closed")


def user(token: str = "") -> str:
    match token:
        case "":
            raise HTTPException(401, "who are you?", headers={"WWW-Authenticate": "Bearer"})
        case "banned":
            raise WebSocketException(1008, "go away")
    return token


def fastapi() -> FastAPI:
    app = FastAPI(lifespan=rxws.asgi.lifespan(max_connections=2))

    class Teapot(Exception):
        pass

    @app.exception_handler(Teapot)
    async def answer(socket: WebSocket, error: Teapot) -> JSONResponse:
        return JSONResponse({"teapot": True}, 418)

    @app.websocket("/rooms/{room}")
    @rxws.asgi.websocket(codec=rxws.json)
    def chat(
        room: int,
        incoming: Observable[Any],
        socket: rxws.WebSocket[Any, Any],
        request: Any,
        user: Annotated[str, Depends(user)],
        db: Annotated[str, Depends(database)],
        limit: int = 3,
    ) -> Observable[Any]:
        greeting = [room, user, db, limit, request.url.path, socket.remote]
        return incoming.pipe(ops.take(1), ops.map(lambda message: [message, greeting]))

    @app.websocket("/forbidden")
    @rxws.asgi.websocket
    def forbidden() -> None:
        raise HTTPException(429, "slow down", headers={"Retry-After": "3"})

    @app.websocket("/away")
    @rxws.asgi.websocket
    def away() -> None:
        raise WebSocketException(1008, "go away")

    @app.websocket("/own")
    @rxws.asgi.websocket
    async def own(ws: WebSocket, room: str = "a") -> Any:
        yield f"{ws.url.path} {room}"

    @app.websocket("/block")
    async def block(ws: WebSocket, name: str = "") -> None:
        async with rxws.asgi.accept(ws) as socket:
            await socket.send(f"{name} {await socket.receive()}")

    return app


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_fastapi(protocol: str, eventually: Eventually) -> None:
    """Dependencies and path parameters come before the handshake, and what they raise answers it."""
    app = fastapi()
    opened.clear()
    async with running(app, ws=protocol) as server:
        async with websockets.connect(f"{server.url}rooms/7?token=ann&limit=5") as client:
            assert opened == ["opened"]
            assert [socket.remote for socket in server.hub] == ["127.0.0.1"]
            await client.send('"hi"')
            assert await client.recv() == '["hi",[7,"ann","db",5,"/rooms/7","127.0.0.1"]]'
            await client.wait_closed()
            assert client.close_code == 1000
        await eventually(lambda: opened == ["opened", "closed"])
        assert await refusal(f"{server.url}rooms/7") == (401, '{"detail":"who are you?"}')
        assert (await refusal(f"{server.url}rooms/7?token=banned"))[0] == 403
        assert (await refusal(f"{server.url}rooms/seven?token=ann"))[0] == 403  # it is no number
        assert await refusal(f"{server.url}forbidden") == (429, '{"detail":"slow down"}')
        assert (await refusal(f"{server.url}away"))[0] == 403
        status, text = await refusal(f"{server.url}own", origin="https://evil.example")
        assert status == 403
        assert "may not connect to" in text
        async with websockets.connect(f"{server.url}own?room=b") as client:
            assert await client.recv() == "/own b"
        async with websockets.connect(f"{server.url}block?name=ann") as client:
            await client.send("hi")
            assert await client.recv() == "ann hi"
            async with websockets.connect(f"{server.url}block") as second:
                await client.wait_closed()
                third = websockets.connect(f"{server.url}block")
                async with third:
                    assert await refusal(f"{server.url}block") == (503, '{"detail":"No more sockets at the moment\\n"}')
                    assert await refusal(f"{server.url}own") == (503, "No more sockets at the moment\n")
                    for path in ("block", "own"):
                        with pytest.raises(websockets.InvalidStatus) as full:
                            await websockets.connect(server.url + path)
                        assert full.value.response.headers["Retry-After"] == "1"
                await second.close(4000)
        await eventually(lambda: len(server.hub) == 0)
        assert server.hub.refused_total == {"origin": 1, "limit": 4}


async def test_docs_block(tmp_path: Path) -> None:
    """The page's program runs."""
    source = re.search(r"<!-- file: rooms_on_fastapi.py -->\n```python\n(.*?)```", (DOCS / "asgi.md").read_text(), re.S)
    assert source is not None
    names: dict[str, Any] = {"__name__": "rooms_on_fastapi"}
    exec(compile(source[1], "rooms_on_fastapi.py", "exec"), names)
    app = names["app"]
    async with running(app) as server:
        assert (await refusal(f"{server.url}rooms/a"))[0] == 403
        async with (
            websockets.connect(f"{server.url}rooms/a?name=ann") as ann,
            websockets.connect(f"{server.url}rooms/a?name=bob") as bob,
        ):
            await ann.send('"hi"')
            assert [await ann.recv(), await bob.recv()] == ['"hi"'] * 2


MOVED = {
    "echo": ("/echo", ["a"], ["a"]),
    "shout": ("/shout", ["a"], ["Say something!", "A"]),
    "close_codes": ("/guess", ["nine"], [(4001, "That is not a number")]),
    "error_stream": ("/roots", ["9", "-9"], ['{"root":3.0}', '{"error":"ValueError","message":"-9 has no root"}']),
    "typed_messages": ("/turtle", [], ['{"type":"Turtle","x":0.0,"y":0.0,"heading":0.0}']),
    "generator": ("/rows?count=1", [], ['{"number":1,"square":1}', (1000, "")]),
}
"""Examples for aiohttp: what to say to each, and what it answers."""


async def test_examples_move() -> None:
    """Handlers for aiohttp need another decorator, and no other line: `request` has what they read."""
    app = FastAPI(lifespan=rxws.asgi.lifespan())
    for name in MOVED:
        source = (DOCS.parent / "examples" / f"{name}.py").read_text()
        changes = {"import rxws\n": "import rxws.asgi\n", "@rxws.": "@rxws.asgi.", "@routes.get(": "@app.websocket("}
        moved = functools.reduce(lambda text, change: text.replace(*change), changes.items(), source)
        exec(compile(moved, f"{name}.py", "exec"), {"__name__": name, "app": app})
    async with running(app) as server:
        for path, says, answers in MOVED.values():
            async with websockets.connect(server.url + path[1:]) as client:
                for message in says:
                    await client.send(message)
                for answer in answers:
                    if isinstance(answer, str):
                        assert await client.recv() == answer
                    else:
                        await client.wait_closed()
                        assert (client.close_code, client.close_reason) == answer


present: ContextVar[str] = ContextVar("present", default="nobody")


class Tagging:
    """A middleware of ASGI, as many are: it has a context, and sees what is sent."""

    def __init__(self, app: Any, seen: list[str]) -> None:
        self.app = app
        self.seen = seen

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def noting(event: Any) -> None:
            async with asyncio.timeout(5):
                self.seen.append(f"{event['type']} {present.get()}")
                await send(event)

        token = present.set("ann")
        try:
            await self.app(scope, receive, noting)
        finally:
            present.reset(token)


async def test_starlette_mounts_and_middlewares(eventually: Eventually) -> None:
    """A mounted application shares the hub; a middleware has its context, and deadlines, around all that is sent."""

    class Rooms:
        prefix = "room"

        @rxws.asgi.websocket
        def join(self, room: str, incoming: Observable[str]) -> Observable[str]:
            return incoming.pipe(ops.map(lambda message: f"{self.prefix} {room}: {message} for {present.get()}"))

    seen: list[str] = []
    inner = Starlette(routes=[WebSocketRoute("/rooms/{room}", Rooms().join)])
    outer = Starlette(routes=[Mount("/api", inner), Mount("/bare", rxws.asgi.websocket(lambda incoming: incoming))])
    hub = rxws.asgi.setup(outer)
    outer.add_middleware(Tagging, seen=seen)
    async with running(outer) as server:
        async with websockets.connect(f"{server.url}api/rooms/x") as client:
            await client.send("hi")
            assert await client.recv() == "room x: hi for ann"
            assert len(hub) == 1
        async with websockets.connect(f"{server.url}bare/") as client:
            await client.send("hi")
            assert await client.recv() == "hi"
        await eventually(lambda: hub.closed_total == {1000: 2})
    sent = [one for one in seen if one.startswith("websocket.")]
    assert sent == ["websocket.accept ann", "websocket.send ann"] * 2


async def test_accepted_before() -> None:
    """An endpoint that has accepted its WebSocket itself is told so."""
    errors: list[Exception] = []

    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        try:
            async with rxws.asgi.accept(ws):
                pass
        except RuntimeError as error:
            errors.append(error)

    app = Starlette(routes=[WebSocketRoute("/", endpoint)])
    rxws.asgi.setup(app)
    async with running(app) as server, websockets.connect(server.url) as client:
        await client.wait_closed()
    assert "was answered already" in str(errors[0])


async def test_unix_socket(tmp_path: Path) -> None:
    """A client of a UNIX socket, which has no address, goes by the path of the socket, as on aiohttp."""

    @rxws.asgi.websocket
    def where(socket: Any) -> Observable[str]:
        return reactivex.just(socket.remote)

    app = Starlette(routes=[WebSocketRoute("/", where)])
    rxws.asgi.setup(app)
    path = str(tmp_path / "socket")
    async with running(app, uds=path), websockets.unix_connect(path) as client:
        assert await client.recv() == f"unix:{path}"
