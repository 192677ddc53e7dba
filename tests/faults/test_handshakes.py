"""Peers that do not get as far as a socket."""

from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
import websockets

import rxws
from tests.integration.raw import raw
from tests.integration.server import serving

BOTH_LOOPS = True
Eventually = Callable[..., Any]


async def test_foreign_origin_is_403() -> None:
    """A page of a foreign origin that sends a cookie gets 403, and the handler never runs."""
    ran: list[int] = []
    handler = rxws.websocket(lambda: ran.append(1))
    async with serving(handler) as server, aiohttp.ClientSession(cookies={"session": "stolen"}) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            await session.ws_connect(server.url, headers={"Origin": "https://evil.example"})
    assert (error.value.status, ran) == (403, [])


@pytest.mark.parametrize("leave", ["reset", "end of file", "close"])
async def test_limit_is_503_and_places_return(leave: str, eventually: Eventually) -> None:
    """Beyond `max_connections` a handshake gets 503; however a peer leaves, its place is free again."""
    echo = rxws.websocket(lambda incoming: incoming)
    async with serving(echo, max_connections=2) as server, aiohttp.ClientSession() as session:
        hub = server.hub
        assert hub is not None
        async with raw(server.port) as first, raw(server.port):
            await eventually(lambda: len(hub) == 2)
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await session.ws_connect(server.url)
            assert (error.value.status, hub.refused_total) == (503, {"limit": 1})
            match leave:
                case "reset":
                    first.reset()
                case "close":
                    first.send_close()
                case _:
                    first.writer.close()
            await eventually(lambda: len(hub) == 1)
            async with websockets.connect(server.url) as client:
                await client.send("a")
                assert await client.recv() == "a"
        await eventually(lambda: len(hub) == 0)
        assert (hub.opened_total, sum(hub.closed_total.values())) == (3, 3)
