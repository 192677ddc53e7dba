"""Compressed messages, with clients and servers nobody here wrote: of Python, of JavaScript, and two browsers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import websockets
from aiohttp import web
from playwright.async_api import Page
from reactivex import operators as ops
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect

import rxws
from tests.chromium import browser, page  # noqa: F401 - fixtures
from tests.integration.server import Server, running

NPM = Path(__file__).parent.parent / "npm"
Eventually = Callable[..., Any]
WAYS = {"alone": True, "contexts": rxws.Deflate(outgoing_context=True, incoming_context=True)}
ROW = {"symbol": "EURUSD", "bid": 1.0712, "ask": 1.0714, "open": True, "name": "Euro, US-Dollar: Währung"}
MESSAGES = [
    *(json.dumps([ROW | {"number": number}] * 5) for number in range(8)),
    "short",
    "é" * 20_000,
    json.dumps([ROW] * 2000),
    json.dumps(ROW),
]
PAGE = """<!doctype html><link rel="icon" href="data:,"><script type="module">
const messages = await (await fetch("messages")).json(), socket = new WebSocket(`ws://${location.host}/ws`);
let right = 0, seen = 0;
socket.onopen = () => messages.forEach(message => socket.send(message));
socket.onmessage = ({ data }) => {
  right += data === messages[seen++];
  if (seen === messages.length) socket.send(`right: ${right}, ${socket.extensions}`);
};
</script>"""


@asynccontextmanager
async def judged(compress: Any) -> AsyncIterator[tuple[Server, list[str]]]:
    """Serve an echo that keeps the verdicts of its clients, and a page that is one."""
    verdicts: list[str] = []

    def echo(incoming: Any) -> Any:
        said, others = incoming.pipe(ops.partition(lambda message: message.startswith("right: ")))
        said.subscribe(verdicts.append)
        return others

    async def script(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def messages(_: web.Request) -> web.Response:
        return web.json_response(MESSAGES)

    app = web.Application()
    hub = rxws.setup(app)
    app.router.add_get("/", script)
    app.router.add_get("/messages", messages)
    app.router.add_get("/ws", rxws.websocket(compress=compress)(echo))
    async with running(app, hub) as server:
        yield server, verdicts


def check(server: Server, *, client_compresses: bool = True) -> None:
    """Find the messages compressed both ways, or one."""
    assert server.sockets
    for socket in server.sockets:
        stats = socket.stats
        assert stats.sent == len(MESSAGES)
        assert stats.sent_wire_bytes < stats.sent_bytes / 5
        assert (stats.received_wire_bytes < stats.received_bytes / 5) is client_compresses


ways = pytest.mark.parametrize("way", WAYS)


# Clients


@ways
async def test_websockets(way: str) -> None:
    async with judged(WAYS[way]) as (server, _), websockets.connect(f"{server.url}ws") as client:
        for message in MESSAGES:
            await client.send(message)
        assert [await client.recv() for _ in MESSAGES] == MESSAGES
        check(server)


@ways
async def test_aiohttp(way: str) -> None:
    async with (
        judged(WAYS[way]) as (server, _),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.url}ws", compress=15) as ws,
    ):
        for message in MESSAGES:
            await ws.send_str(message)
        assert [await ws.receive_str() for _ in MESSAGES] == MESSAGES
        check(server)


@ways
async def test_tornado(way: str) -> None:
    """Tornado's client keeps its context, whatever it agrees to."""
    async with judged(WAYS[way]) as (server, _):
        client = await websocket_connect(f"{server.url}ws", compression_options={})
        for message in MESSAGES:
            await client.write_message(message)
        assert [await client.read_message() for _ in MESSAGES] == MESSAGES
        check(server)
        client.close()


@ways
@pytest.mark.parametrize(
    ("runs", "kind", "compresses"), [("node", "ws", True), ("node", "undici", False), ("bun", "own", True)]
)
async def test_javascript(runs: str, kind: str, compresses: bool, way: str, eventually: Eventually) -> None:
    """ws and Bun's own compress; undici reads what is compressed, and sends as it is."""
    async with judged(WAYS[way]) as (server, verdicts), program(runs, "deflate.mjs", server.http, kind):
        await eventually(lambda: verdicts, 20)
        assert verdicts[0].startswith(f"right: {len(MESSAGES)}, permessage-deflate"), verdicts
        check(server, client_compresses=compresses)


@ways
async def test_chromium(way: str, page: Page, eventually: Eventually) -> None:  # noqa: F811 - the fixture
    async with judged(WAYS[way]) as (server, verdicts):
        await page.goto(server.http)
        await eventually(lambda: verdicts, 20)
        assert verdicts[0].startswith(f"right: {len(MESSAGES)}, permessage-deflate"), verdicts
        check(server)


async def test_firefox(tmp_path: Path, eventually: Eventually) -> None:
    path = shutil.which("firefox-esr") or shutil.which("firefox")
    assert path, "neither firefox-esr nor firefox is on PATH: sh tests/browser.sh"
    async with AsyncExitStack() as stack:
        served = [await stack.enter_async_context(judged(compress)) for compress in WAYS.values()]
        options = ("--headless", "--no-remote", "--profile", str(tmp_path))
        async with running_program(path, *options, *(server.http for server, _ in served)):
            await eventually(lambda: all(verdicts for _, verdicts in served), 40)
        for server, verdicts in served:
            assert verdicts[0].startswith(f"right: {len(MESSAGES)}, permessage-deflate"), verdicts
            check(server)


# Servers


async def ask(url: str, compress: Any, *, server_compresses: bool = True) -> None:
    """Say all messages to an echo, and compare."""
    async with rxws.connect(url, compress=compress) as socket:
        for message in MESSAGES:
            socket.outgoing.on_next(message)
        assert [await socket.receive() for _ in MESSAGES] == MESSAGES
        stats = socket.stats
    assert stats.sent_wire_bytes < stats.sent_bytes / 5
    assert (stats.received_wire_bytes < stats.received_bytes / 5) is server_compresses


@ways
async def test_server_of_websockets(way: str) -> None:
    async def echo(connection: Any) -> None:
        async for message in connection:
            await connection.send(message)

    async with websockets.serve(echo, "127.0.0.1", 0) as server:
        await ask(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/", WAYS[way])


@ways
async def test_server_of_aiohttp(way: str) -> None:
    async def echo(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data)
        return ws

    app = web.Application()
    app.router.add_get("/", echo)
    async with running(app) as server:
        await ask(server.url, WAYS[way])


@ways
async def test_server_of_tornado(way: str) -> None:
    class Echo(WebSocketHandler):
        def get_compression_options(self) -> dict[str, Any]:
            return {}

        def on_message(self, message: str | bytes) -> None:
            self.write_message(message)

    sock, port = bind_unused_port()
    server = HTTPServer(Application([("/", Echo)]))
    server.add_sockets([sock])
    try:
        await ask(f"ws://127.0.0.1:{port}/", WAYS[way])
    finally:
        server.stop()
        await server.close_all_connections()


@ways
@pytest.mark.parametrize(("runs", "kind"), [("node", "ws"), ("bun", "own")])
async def test_servers_of_javascript(runs: str, kind: str, way: str) -> None:
    async with program(runs, "deflate-server.mjs", kind) as process:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            port = json.loads(await process.stdout.readline())["port"]
        await ask(f"ws://127.0.0.1:{port}/", WAYS[way])


# Programs


@asynccontextmanager
async def program(runs: str, script: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a script by Node or Bun; a machine without them fails."""
    path = shutil.which("node") if runs == "node" else str(NPM / "node_modules/.bin/bun")
    assert path, "Node is not on PATH"
    assert Path(path).exists(), "the peers are not installed: npm ci --prefix tests/npm"
    async with running_program(path, script, *arguments) as process:
        yield process


@asynccontextmanager
async def running_program(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program until the block is left, with all that it has started."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=NPM, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
