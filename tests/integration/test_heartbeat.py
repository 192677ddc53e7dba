"""Pings in the application's words, over real sockets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
from aiohttp import web

import rxws
from tests.integration.raw import raw
from tests.integration.server import serving
from tests.streams import opened, reopened

BOTH_LOOPS = True

BEAT = 0.1


async def test_client_that_pings() -> None:
    """A server that answers lives, though nobody reads; one that falls silent is left, and found again."""
    answers = True
    pings: list[Any] = []

    async def server(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse(autoping=False)  # nor does it answer the pings of RFC 6455
        await ws.prepare(request)
        pings.append([])
        async for message in ws:
            if message.type is aiohttp.WSMsgType.TEXT:
                pings[-1].append(json.loads(message.data))
                if answers:
                    await ws.send_json({"op": "pong"})
        return ws

    beat = rxws.Heartbeat(BEAT, ping={"op": "ping"}, pong=lambda message: message["op"] == "pong")
    backoff = rxws.Backoff(initial=0.01, maximum=0.01)
    async with (
        serving(server) as at,
        rxws.connect(at.url, codec=rxws.json, heartbeat=beat, reconnect=backoff, close_timeout=0.2) as socket,
    ):
        await opened(socket)
        await asyncio.sleep(5 * BEAT)
        assert (len(pings), socket.rtt) == (1, None)
        async with asyncio.timeout(5):
            with socket.incoming.subscribe():
                while socket.rtt is None:
                    await asyncio.sleep(BEAT / 10)
        answers = False
        await reopened(socket)
        answers = True
        assert len(pings) == 2
        assert all(ping == {"op": "ping"} for ping in pings[0])
        assert len(pings[0]) >= 4


async def test_server_that_answers() -> None:
    """A server answers what its client asks in words, and its handler sees the messages alone."""
    got: asyncio.Queue[str] = asyncio.Queue()

    @rxws.websocket(heartbeat=rxws.Heartbeat(20, answer=lambda text: "pong" if text == "ping" else None))
    def handler(incoming: Any) -> Any:
        return incoming.subscribe(got.put_nowait)

    async with serving(handler) as at, aiohttp.ClientSession() as session, session.ws_connect(at.url) as ws:
        for text in ("ping", "hello", "ping"):
            await ws.send_str(text)
        assert [await ws.receive_str(timeout=5) for _ in range(2)] == ["pong", "pong"]
        assert await asyncio.wait_for(got.get(), 5) == "hello"
        assert got.empty()


async def test_reader_of_large_messages_lives() -> None:
    """A peer that takes bytes lives, though no pong comes: aiohttp's own waits for room are signs of life, too."""
    sockets: list[rxws.WebSocket[Any, Any]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()  # which waits itself after so much
        await ws.prepare(request)
        sockets.append(socket := rxws.attach(ws, heartbeat=1.5))
        with socket.incoming.subscribe():
            while await socket.send(bytes(600_000)) is None:
                pass
        return ws

    async with serving(handler) as at, raw(at.port, receive_buffer=2**20) as peer:
        until = asyncio.get_running_loop().time() + 4  # more than two heartbeats
        while asyncio.get_running_loop().time() < until:
            assert await peer.reader.read(65536)
            await asyncio.sleep(0.005)
        assert sockets[0]._life.close_cause is None
        assert sockets[0].stats.rtt is None
        sockets[0].close()
