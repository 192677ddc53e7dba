"""python-socketio on aiohttp: a ping that is not answered is a goodbye with 1000."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import socketio
from aiohttp import web

import rxws
from tests.integration.server import running
from tests.servers.process import causes, until
from tests.streams import ended

SOON = rxws.Backoff(initial=0.02, maximum=0.05, final="refused")


async def greet(connection: rxws.Greeting[str, str]) -> None:
    """Wait for the handshake of engine.io, and shake hands as socket.io does."""
    assert (await connection.receive()).startswith("0{")
    await connection.send("40")
    await connection.receive(lambda packet: packet.startswith("40{"))


@pytest.fixture
async def app() -> AsyncIterator[web.Application]:
    made, server = web.Application(), socketio.AsyncServer(async_mode="aiohttp", ping_interval=0.2, ping_timeout=0.6)
    server.attach(made)

    @server.event
    async def say(sid: str, line: str) -> None:
        await server.emit("said", line, to=sid)

    yield made
    await server.shutdown()


def url(server: Any) -> str:
    return f"{server.url}socket.io/?EIO=4&transport=websocket"


async def test_pings_are_answered_or_not(app: web.Application) -> None:
    """Who answers stays; who does not is told 1000, and comes back by the rule "refused"."""
    answers, said = True, []

    def answer(packet: str) -> str | None:
        return ("3" if answers else "6") if packet == "2" else None

    heartbeat = rxws.Heartbeat(20, answer=answer)
    async with running(app) as server:
        async with rxws.connect(url(server), greet=greet, heartbeat=heartbeat, reconnect=SOON) as socket:
            ends = causes(socket)
            socket.incoming.subscribe(said.append)
            socket.outgoing.on_next('42["say","one"]')
            await until(lambda: said == ['42["said","one"]'], "it is answered")
            await until(lambda: socket.stats.duration > 1.2, "two pings, and time for their ends")
            assert ends == []
            answers = False
            await until(lambda: len(ends) == 2, "two goodbyes")
            answers = True
            socket.outgoing.on_next('42["say","two"]')
            await until(lambda: said[1:] == ['42["said","two"]'], "it has come back")
            assert ends == [rxws.Close(1000)] * 2
        polite: dict[str, Any] = {"greet": greet, "reconnect": rxws.Backoff()}
        async with rxws.connect(url(server), **polite) as socket:
            socket.incoming.subscribe()
            assert await ended(socket) == rxws.Close(1000)
