"""What operators read of real sockets, of either side."""

import logging
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
import websockets
from aiohttp import web
from yarl import URL

import rxws
from tests.integration.server import serving
from tests.streams import ended

Eventually = Callable[..., Any]


def fields(caplog: pytest.LogCaptureFixture, logger: str, event: str) -> dict[str, Any]:
    found = [vars(record) for record in caplog.records if record.name == logger and vars(record)["ws_event"] == event]
    (record,) = found
    return {name: value for name, value in record.items() if name.startswith("ws_")}


@rxws.websocket
def echo(incoming: Any) -> Any:
    return incoming


async def accepted(request: web.Request) -> web.StreamResponse:
    async with rxws.accept(request) as socket:
        socket.incoming.subscribe(socket.outgoing)
        await socket.closed
    return socket.response


async def attached(request: web.Request) -> web.StreamResponse:
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    socket = rxws.attach(ws)
    socket.incoming.subscribe(socket.outgoing)
    await socket.closed
    return ws


@pytest.mark.parametrize("handler", [echo, accepted, attached], ids=lambda handler: handler.__name__)
async def test_server_logs_remote_and_path_and_no_secret(
    handler: Any, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    """A server's socket logs the remote and the path, and no secret."""
    caplog.set_level(logging.DEBUG, "rxws")
    app = web.Application()
    app.router.add_get("/{name}", handler)
    async with serving(app=app) as server:
        async with websockets.connect(f"{server.url}a%0Db?token=secret") as client:
            await client.send("hello")
            await client.recv()
            await client.close(4001, "bye\r\n\x1b[2J")
        assert server.hub is not None
        await eventually(lambda: not len(server.hub))
    assert fields(caplog, "rxws.server", "opened")["ws_path"] == "/a%0Db"
    closed = fields(caplog, "rxws.server", "closed")
    assert closed.pop("ws_duration") > 0
    assert closed == {
        "ws_event": "closed",
        "ws_remote": "127.0.0.1",
        "ws_path": "/a%0Db",
        "ws_closed_by": "peer",
        "ws_code": 4001,
        "ws_reason": "bye\\r\\n\\x1b[2J",
        "ws_received": 1,
        "ws_received_bytes": 5,
        "ws_sent": 1,
        "ws_sent_bytes": 5,
        "ws_dropped": 0,
    }
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("rxws")]
    assert all(line.isprintable() and "secret" not in line for line in lines)


@pytest.mark.parametrize("made", [False, True], ids=["a URL", "a function that makes it"])
async def test_a_client_s_socket_says_to_where_and_no_secret(made: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "rxws")
    async with serving(echo) as server:
        url = URL(server.url).with_user("ada").with_password("secret").with_query(token="secret")
        async with rxws.connect((lambda: url) if made else url) as socket:
            assert socket.remote == "127.0.0.1"
    closed = fields(caplog, "rxws.client", "closed")
    assert (closed["ws_remote"], closed.get("ws_url")) == ("127.0.0.1", None if made else server.url)
    assert (closed["ws_code"], closed["ws_closed_by"]) == (1000, "us")
    assert "secret" not in caplog.text.replace("GET /?token=secret", "")  # aiohttp's access log


async def test_a_client_s_own_websocket_logs_as_a_client_s(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "rxws")
    async with serving(echo) as server, aiohttp.ClientSession() as session, session.ws_connect(server.url) as ws:
        socket = rxws.attach(ws)
        socket.dispose()
        await ended(socket)
    assert fields(caplog, "rxws.client", "closed")["ws_remote"] == "127.0.0.1"


async def test_a_refused_handshake_says_why(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "rxws")
    async with serving(echo) as server:
        with pytest.raises(websockets.InvalidStatus, match="403"):
            await websockets.connect(server.url, origin=websockets.Origin("https://evil.example"))
    refused = fields(caplog, "rxws.server", "refused")
    assert (refused["ws_refusal"], refused["ws_remote"], refused["ws_path"]) == ("origin", "127.0.0.1", "/")
