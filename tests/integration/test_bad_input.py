"""Bad input has a clear, early error, and harms no other connection."""

import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import websockets
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws
from tests.integration.raw import TEXT, raw
from tests.integration.server import Server, serving
from tests.streams import ended

HEADERS = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
}
ran: list[str] = []


@rxws.websocket(codec=rxws.json)
def handler(request: Any, incoming: Observable[Any], outgoing: Subject[Any]) -> Observable[Any]:
    ran.append(request.method)
    return incoming.pipe(ops.map(lambda m: {1} if m == "a set" else m))


@asynccontextmanager
async def with_a_neighbor() -> AsyncIterator[Server]:
    """A server with a socket that must still work at the end."""
    async with serving(handler) as server, websockets.connect(server.url) as neighbor:
        await neighbor.send('"before"')
        assert await neighbor.recv() == '"before"'
        ran.clear()
        yield server
        await neighbor.send('"after"')
        assert await neighbor.recv() == '"after"'


@pytest.mark.parametrize(
    ("method", "headers", "status", "says"),
    [
        ("GET", {"Upgrade": None, "Connection": None}, 426, "This is a WebSocket endpoint"),
        ("GET", {"Upgrade": "h2c"}, 426, "This is a WebSocket endpoint"),
        ("GET", {"Sec-WebSocket-Version": "12"}, 426, "Sec-WebSocket-Version must be 13"),
        ("GET", {"Sec-WebSocket-Version": None}, 426, "Sec-WebSocket-Version must be 13"),
        ("GET", {"Sec-WebSocket-Key": None}, 400, "Sec-WebSocket-Key must be 16 bytes in base64"),
        ("GET", {"Sec-WebSocket-Key": "short"}, 400, "Sec-WebSocket-Key must be"),
        ("GET", {"Sec-WebSocket-Key": "!" * 24}, 400, "Sec-WebSocket-Key must be"),
        ("GET", {"Origin": "https://evil.example"}, 403, "A page from 'https://evil.example' may not connect to"),
        ("POST", {}, 405, "Method Not Allowed"),
    ],
)
async def test_bad_upgrade_is_refused(method: str, headers: dict[str, str | None], status: int, says: str) -> None:
    """A request that is not a good upgrade is refused before the handler runs."""
    sent = {name: value for name, value in {**HEADERS, **headers}.items() if value is not None}
    async with with_a_neighbor() as server, aiohttp.ClientSession() as session:
        async with session.request(method, server.http, headers=sent) as response:
            assert response.status == status
            assert says in await response.text()
            assert status != 426 or response.headers["Upgrade"] == "websocket"
            assert "12" not in headers.values() or response.headers["Sec-WebSocket-Version"] == "13"
        assert ran == []


async def test_undecodable_json_closes_its_own_socket_only() -> None:
    async with with_a_neighbor() as server, raw(server.port) as peer:
        peer.send(TEXT, b"{")
        assert await peer.receive_close() == (1007, "Invalid Message")


async def test_unsendable_value_closes_its_own_socket_only() -> None:
    """A value that cannot be sent closes its own socket only."""
    async with with_a_neighbor() as server, raw(server.port) as peer:
        peer.send(TEXT, b'"a set"')
        assert await peer.receive_close() == (1011, "Unexpected Error")


async def test_calls_on_a_closed_socket() -> None:
    """Calls on a closed socket do nothing, or say what is wrong."""
    async with with_a_neighbor() as server, raw(server.port) as peer:
        peer.send_close(1000)
        await peer.receive_close()
        socket = server.sockets[1]
        await ended(socket)
        socket.outgoing.on_next("late")
        socket.outgoing.on_completed()
        socket.close()
        socket.dispose()
        with pytest.raises(ValueError, match="close code 5000 may not be sent"):
            socket.close(5000)
        assert (socket.stats.sent, socket.stats.buffered) == (0, 0)
