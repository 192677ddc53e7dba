"""Opening a socket in a handler of one's own."""

import logging
from typing import Any

import aiohttp
import pytest
import websockets
from aiohttp import web
from reactivex import operators as ops

import rxws
from tests.integration.server import serving
from tests.streams import ended

BOTH_LOOPS = True


async def guarded(request: web.Request) -> web.StreamResponse:
    if request.query.get("token") != "secret":
        raise web.HTTPUnauthorized
    async with rxws.accept(request, codec=rxws.json) as socket:
        socket.outgoing.on_next({"you": await socket.incoming.pipe(ops.first())})
        assert socket.request is request
    return socket.response


async def test_something_may_come_before_the_upgrade() -> None:
    async with serving(guarded) as server, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            await session.ws_connect(server.url)
        assert error.value.status == 401
        async with session.ws_connect(server.url + "?token=secret") as ws:
            await ws.send_str("1")
            assert await ws.receive_str() == '{"you":1}'
            await ws.receive()
            assert ws.close_code == 1000


async def test_failing_block_closes_1011(caplog: pytest.LogCaptureFixture) -> None:
    """A block that raises closes with 1011, shows its error on `errors`, and raises on."""
    seen: list[Any] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        async with rxws.accept(request) as socket:
            socket.errors.subscribe(seen.append)
            raise ValueError("in the block")
        return socket.response

    async with serving(handler) as server, websockets.connect(server.url) as client:
        await client.wait_closed()
        assert (client.close_code, client.close_reason) == (1011, "Unexpected Error")
        await ended(server.sockets[0])
    assert [str(error) for error in seen] == ["in the block"]
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.name for record in errors] == ["aiohttp.server"]


async def test_a_wrong_option_is_a_clear_error() -> None:
    with pytest.raises(TypeError, match="did you mean 'heartbeat'"):
        rxws.accept(None, hartbeat=3)  # type: ignore[call-overload]
