"""Clients nobody here wrote: aiohttp, websockets, Node's ws, rxjs, Chromium's own WebSocket."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import websockets
from playwright.async_api import Page
from reactivex import Observable
from reactivex import operators as ops

import rxws
from tests.integration.server import serving
from tests.streams import ended

NPM = Path(__file__).parent.parent / "npm"
MANY = [f"message {number}" for number in range(1000)]


@rxws.websocket(max_msg_size=2**21)
def echo(incoming: Observable[Any]) -> Observable[Any]:
    return incoming


@rxws.websocket
def bye(incoming: Observable[Any]) -> Observable[Any]:
    def end(message: str) -> str:
        if message == "bye":
            raise rxws.Close(4001, "good bye")
        return message.upper()

    return incoming.pipe(ops.map(end))


async def node(script: str, url: str, plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a Node client to its end, and return the lines it printed; a machine without Node fails."""
    path = shutil.which("node")
    assert path, "Node is not on PATH"
    assert (NPM / "node_modules").is_dir(), "the peers are not installed: npm ci --prefix tests/npm"
    process = await asyncio.create_subprocess_exec(
        path, script, url, json.dumps(plan), cwd=NPM, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    return [json.loads(line) for line in output.decode().splitlines()]


async def test_websockets_gets_messages_in_order() -> None:
    async with serving(echo) as server, websockets.connect(server.url, max_size=None) as client:
        for message in MANY:
            await client.send(message)
        assert [await client.recv() for _ in MANY] == MANY
        for message in (b"\x00\xff", "é" * 400_000, ["frag", "men", "ted"]):
            await client.send(message)
        assert [await client.recv() for _ in range(3)] == [b"\x00\xff", "é" * 400_000, "fragmented"]
        await client.close(4005, "mine")
        assert await ended(server.sockets[0]) == rxws.Close(4005, "mine")


async def test_aiohttp_gets_messages_in_order() -> None:
    async with serving(echo) as server, aiohttp.ClientSession() as session, session.ws_connect(server.url) as ws:
        for message in MANY:
            await ws.send_str(message)
        assert [await ws.receive_str() for _ in MANY] == MANY
        await ws.send_bytes(b"\x00\xff")
        assert await ws.receive_bytes() == b"\x00\xff"
        await ws.close(code=4005, message=b"mine")
        assert await ended(server.sockets[0]) == rxws.Close(4005, "mine")


async def test_node_ws_gets_messages_in_order() -> None:
    messages: list[dict[str, Any]] = [
        *({"text": message} for message in MANY),
        {"binary": "00ff"},
        {"repeat": 400_000},
        {"fragments": ["frag", "men", "ted"]},
    ]
    plan = {"send": messages, "expect": len(messages), "close": {"code": 4005, "reason": "mine"}}
    async with serving(echo) as server:
        *seen, end = await node("ws.mjs", server.url, plan)
        assert seen == [*messages[:-2], {"length": 400_000}, {"text": "fragmented"}]
        assert end == {"code": 4005, "reason": "mine"}
        assert await ended(server.sockets[0]) == rxws.Close(4005, "mine")


async def test_node_ws_sees_our_code_and_reason() -> None:
    async with serving(bye) as server:
        plan = {"send": [{"text": "a"}, {"text": "bye"}], "expect": -1}
        assert await node("ws.mjs", server.url, plan) == [{"text": "A"}, {"code": 4001, "reason": "good bye"}]


async def test_node_ws_sees_1009_even_while_it_sends() -> None:
    handler = rxws.websocket(max_msg_size=1000)(lambda incoming: incoming)
    async with serving(handler) as server:
        plan = {"send": [{"repeat": 2_000_000}], "expect": -1}
        assert (await node("ws.mjs", server.url, plan))[-1]["code"] == 1009


async def test_rxjs_gets_messages_in_order_and_completes() -> None:
    async with serving(rxws.websocket(codec=rxws.json)(lambda incoming: incoming)) as server:
        messages = [{"number": number} for number in range(100)]
        seen = await node("rxjs.mjs", server.url, {"send": messages, "expect": 100})
        assert seen == [*({"next": message} for message in messages), {"code": 1000, "reason": ""}, {"completed": True}]
        assert await ended(server.sockets[0]) == rxws.Close.received(1005)


async def test_rxjs_closes_with_a_code_of_its_own() -> None:
    async with serving(rxws.websocket(codec=rxws.json)(lambda incoming: incoming)) as server:
        plan = {"send": [1], "expect": 1, "end": {"code": 4005, "reason": "mine"}}
        assert {"code": 4005, "reason": "mine"} in await node("rxjs.mjs", server.url, plan)
        assert await ended(server.sockets[0]) == rxws.Close(4005, "mine")


async def test_rxjs_sees_our_code_and_reason() -> None:
    handler = rxws.websocket(codec=rxws.json)(lambda incoming: incoming.pipe(ops.map(lambda _: rxws.Close(4001, "no"))))
    async with serving(handler) as server:
        seen = await node("rxjs.mjs", server.url, {"send": [1], "expect": -1})
        assert {"code": 4001, "reason": "no"} in seen


IN_THE_BROWSER = """
([url, messages]) => new Promise(resolve => {
    const socket = new WebSocket(url), seen = [];
    socket.binaryType = "arraybuffer";
    socket.onopen = () => messages.forEach(message => socket.send(message));
    socket.onmessage = ({ data }) => {
        seen.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
        if (seen.length === 1000 && url.endsWith("/echo")) socket.send(new Uint8Array([0, 255]));
        if (seen.length === 1001) socket.close(4005, "mine");
    };
    socket.onclose = ({ code, reason, wasClean }) => resolve({ seen, code, reason, wasClean });
})
"""


@pytest.mark.parametrize("name", ["echo", "bye"])
async def test_chromium_s_own_websocket(page: Page, name: str) -> None:
    from aiohttp import web

    async def blank(request: web.Request) -> web.Response:
        return web.Response(text="<link rel=icon href=data:,>", content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/", blank), web.get("/echo", echo), web.get("/bye", bye)])
    async with serving(app=app) as server:
        await page.goto(server.http)
        messages = MANY if name == "echo" else ["a", "bye"]
        result = await page.evaluate(IN_THE_BROWSER, [server.url + name, messages])
        if name == "echo":
            assert result == {"seen": [*MANY, [0, 255]], "code": 4005, "reason": "mine", "wasClean": True}
        else:
            assert result == {"seen": ["A"], "code": 4001, "reason": "good bye", "wasClean": True}
