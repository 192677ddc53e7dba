"""The deadline of a connection's first request."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

from aiohttp import ClientSession, web
from aiohttp.web_protocol import RequestHandler
from reactivex import operators as ops

import rxws
from rxws.wires.aiohttp.inside import bound_first_request
from tests.integration.server import serving

BOTH_LOOPS = True


async def test_no_deadline_keeps_a_connection_that_is_gone(eventually: Callable[..., Any]) -> None:
    """The deadline of a first request ends with its connection; it kept aiohttp's handler, and all that this has."""

    def handlers() -> int:
        gc.collect()
        return sum(isinstance(thing, RequestHandler) for thing in gc.get_objects())

    app = web.Application()
    app.router.add_get("/", rxws.websocket(lambda incoming: incoming))
    bound_first_request(app, 20.0)
    async with serving(app=app) as server, ClientSession() as session:
        before = handlers()
        for _ in range(10):
            async with rxws.connect(server.url, session=session) as client:
                client.outgoing.on_next("hello")
                await client.incoming.pipe(ops.first())
            async with session.get(f"{server.http}nowhere", headers={"Connection": "close"}) as response:
                assert response.status == 404
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.close()
        server.sockets.clear()
        await eventually(lambda: handlers() <= before, every=0.1)
