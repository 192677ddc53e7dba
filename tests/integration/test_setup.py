"""What belongs to the whole application: limits, counters, the graceful end."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
import websockets
from aiohttp import web
from reactivex import Observable

import rxws
from tests.integration.server import serving

BOTH_LOOPS = True
Eventually = Callable[..., Any]


@rxws.websocket
def echo(incoming: Observable[str]) -> Observable[str]:
    return incoming


async def test_shutdown_code_can_be_another_one() -> None:
    async with serving(echo, shutdown_code=1012) as server, websockets.connect(server.url) as client:
        await server.runner.cleanup()
        await client.wait_closed()
        assert client.close_code == 1012


async def test_missing_setup_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Without setup handlers work, and one warning says what is missing."""
    app = web.Application()
    app.router.add_get("/", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    for _ in range(2):
        async with websockets.connect(f"ws://127.0.0.1:{runner.addresses[0][1]}") as client:
            await client.send("a")
            assert await client.recv() == "a"
    await runner.cleanup()
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith("rxws.setup(app) is missing")


async def test_sub_applications_share_the_hub() -> None:
    app, sub = web.Application(), web.Application()
    sub.router.add_get("/echo", echo)
    app.add_subapp("/sub", sub)
    async with serving(app=app) as server, websockets.connect(server.url + "sub/echo") as client:
        await client.send("a")
        assert await client.recv() == "a"
        assert server.hub is not None
        assert [socket.request.path for socket in server.hub] == ["/sub/echo"]
        assert server.sockets[0].remote == "127.0.0.1"


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"app": None}, TypeError, "setup takes an aiohttp.web.Application, not None"),
        ({"max_connections": 0}, ValueError, "a positive whole number of sockets, or None for no limit, not 0"),
        ({"max_connections": "9"}, TypeError, "max_connections must be a positive whole number"),
        ({"shutdown_code": 1006}, ValueError, "close code 1006 may not be sent"),
    ],
)
async def test_bad_arguments_of_setup_are_clear_errors(arguments: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        rxws.setup(**{"app": web.Application(), **arguments})


async def test_setup_twice_or_too_late_is_a_runtime_error() -> None:
    app = web.Application()
    rxws.setup(app)
    with pytest.raises(RuntimeError, match="was called before for this application"):
        rxws.setup(app)
    late = web.Application()
    late.freeze()
    with pytest.raises(RuntimeError, match="came too late"):
        rxws.setup(late)
    nested = web.Application()
    app.add_subapp("/nested", nested)
    with pytest.raises(RuntimeError, match="before the application runs or is nested in another"):
        rxws.setup(nested)


async def test_requests_while_shutting_down_get_503(eventually: Eventually) -> None:
    app = web.Application()
    app.router.add_get("/", echo)
    statuses: list[int] = []
    async with serving(app=app) as server:
        assert server.hub is not None
        closing = asyncio.ensure_future(server.hub.shut_down())
        async with aiohttp.ClientSession() as session:
            try:
                await session.ws_connect(server.url)
            except aiohttp.WSServerHandshakeError as error:
                statuses.append(error.status)
        await closing
    assert statuses == [503]
