"""WAMP, by Crossbar.io: a session and its subscription on each connection, through restarts of the router."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import rxws
from tests.ports import free_port
from tests.servers.process import beside, causes, check_account, serving, until

CROSSBAR = Path(__file__).parents[2] / ".venv-servers" / "bin" / "crossbar"
HELLO, WELCOME, PUBLISH, SUBSCRIBE, SUBSCRIBED, EVENT = 1, 2, 16, 32, 33, 36
ALLOWED = {"call": True, "register": True, "publish": True, "subscribe": True}


def configuration(port: int) -> dict[str, Any]:
    """Make that of a router for anyone."""
    anonymous = {"name": "anonymous", "permissions": [{"uri": "", "match": "prefix", "allow": ALLOWED}]}
    transport = {"type": "websocket", "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": port}}
    worker = {"type": "router", "realms": [{"name": "realm1", "roles": [anonymous]}], "transports": [transport]}
    return {"version": 2, "workers": [worker]}


class Client:
    """Publishes numbers, and gets them back from the router."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.got: list[int] = []
        self.told: list[int] = []
        self.sessions: list[int] = []

    async def greet(self, connection: rxws.Greeting[Any, Any]) -> None:
        """Join the realm, and subscribe, before anything is published."""
        await connection.send([HELLO, "realm1", {"roles": {"publisher": {}, "subscriber": {}}}])
        kind, session, _ = await connection.receive()
        assert kind == WELCOME
        self.sessions.append(session)
        await connection.send([SUBSCRIBE, 1, {}, "com.example.feed"])
        assert (await connection.receive())[:2] == [SUBSCRIBED, 1]

    async def publish(self, socket: rxws.ClientWebSocket[Any, Any]) -> None:
        for number in itertools.count():
            self.sent.append(number)
            socket.outgoing.on_next([PUBLISH, number + 2, {"exclude_me": False}, "com.example.feed", [number]])
            await asyncio.sleep(0.005)

    def take(self, message: Any) -> None:
        if message[0] == EVENT:
            self.got.append(message[4][0])

    async def more(self, number: int = 50) -> None:
        goal = len(self.got) + number
        await until(lambda: len(self.got) >= goal, f"{goal} messages, not {len(self.got)}")


async def test_wamp_through_restarts(tmp_path: Path) -> None:
    """Each connection is a session that is subscribed before anything goes out; all of that arrives or is told."""
    client = Client()
    port = free_port()
    (tmp_path / "config.json").write_text(json.dumps(configuration(port)))
    assert CROSSBAR.exists(), "Crossbar.io is not installed: make .venv-servers/.installed"
    command = (CROSSBAR, "start", "--cbdir", tmp_path)
    backoff = rxws.Backoff(initial=0.02, maximum=0.1)
    options: Any = {"codec": rxws.json, "protocols": ["wamp.2.json"], "reconnect": backoff, "greet": client.greet}
    async with (
        serving(tmp_path, *command, port=port, env={"PYTHONDONTWRITEBYTECODE": ""}) as server,
        rxws.connect(f"ws://127.0.0.1:{port}/", **options) as socket,
    ):
        ends = causes(socket)
        socket.incoming.subscribe(client.take)
        socket.undelivered.subscribe(lambda message: client.told.append(message[4][0]))
        async with beside(client.publish(socket)):
            await client.more()
            await server.stop()
            await server.start()
            await client.more()
        await until(lambda: client.got[-1] == client.sent[-1], "the last one")
    assert [type(end) for end in ends] == [rxws.ConnectionLost]
    assert len(client.sessions) == len(set(client.sessions)) == 2
    check_account(client.sent, client.got, client.told)
