"""SocketCluster: its handshake, a channel, and pings that are messages, through restarts of the server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import rxws
from tests.ports import free_port
from tests.servers.process import beside, causes, check_account, serving, until
from tests.streams import watch

NPM = Path(__file__).parent.parent / "npm"
PING: dict[str, Any] = {}


class Messages:
    """JSON, and a ping that is an empty message, as is its answer."""

    def decode(self, data: str | bytes) -> Any:
        return rxws.json.decode(data) if data else PING

    def encode(self, message: Any) -> str:
        return "" if message is PING else rxws.json.encode(message)


class Client:
    """Publishes numbers in a channel, each by a call that is answered, and gets them back."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.answered: list[int] = []
        self.failed: list[int] = []
        self.got: list[int] = []
        self.pings = 0
        self.answers_pings = True

    async def greet(self, connection: rxws.Greeting[Any, Any]) -> None:
        """Shake hands, and subscribe, before anything is published."""
        await connection.send({"event": "#handshake", "data": {}, "cid": 1})
        assert (await self.received(connection))["rid"] == 1
        await connection.send({"event": "#subscribe", "data": {"channel": "feed"}, "cid": 2})
        assert await self.received(connection) == {"rid": 2}

    async def received(self, connection: rxws.Greeting[Any, Any]) -> Any:
        """Wait for a message."""
        while (message := await connection.receive()) is PING:
            await connection.send(PING)
        return message

    def answer(self, message: Any) -> Any:
        """Answer a ping, unless this is a client that does not."""
        if message is not PING:
            return None
        self.pings += 1
        return PING if self.answers_pings else None

    async def publish(self, socket: rxws.ClientWebSocket[Any, Any], numbers: Iterable[int]) -> None:
        for number in numbers:
            self.asked.append(number)
            call = {"event": "#publish", "data": {"channel": "feed", "data": number}, "cid": number}
            try:
                await socket.request(call, key=lambda message: message.get("cid", message.get("rid")), timeout=30)
            except rxws.ConnectionLost:
                self.failed.append(number)
            except asyncio.CancelledError:  # the test is over
                self.asked.pop()
                raise
            else:
                self.answered.append(number)
            await asyncio.sleep(0.002)

    def take(self, message: Any) -> None:
        if message.get("event") == "#publish":
            self.got.append(message["data"]["data"])

    async def more(self, number: int = 30) -> None:
        goal = len(self.answered) + number
        await until(lambda: len(self.answered) >= goal, f"{goal} answers, not {len(self.answered)}")


async def test_socketcluster_through_restarts(tmp_path: Path) -> None:
    """The handshake and the subscription go first on each connection; what is published is answered, or told."""
    client = Client()
    port = free_port()
    backoff = rxws.Backoff(initial=0.02, maximum=0.1, final="never")
    options: Any = {"codec": Messages(), "reconnect": backoff, "greet": client.greet}
    async with (
        serving(tmp_path, "node", NPM / "socketcluster.mjs", str(port), port=port) as server,
        rxws.connect(
            f"ws://127.0.0.1:{port}/socketcluster/", heartbeat=rxws.Heartbeat(20, answer=client.answer), **options
        ) as socket,
    ):
        states = watch(s=socket.states)
        ends = causes(socket)
        socket.incoming.subscribe(client.take)
        async with beside(client.publish(socket, itertools.count(3))):
            await client.more()
            await server.stop()
            await server.start()
            await client.more()
            await server.kill()
            await server.start()
            await client.more()
        await until(lambda: client.pings > 0, "a ping")
        client.answers_pings, seen = False, len(states)
        await until(lambda: len(states) > seen + 2, "the end of a client that answers no pings, and its return")
        await client.publish(socket, [client.asked[-1] + 2])  # the last one may have been published
    *lost, last = ends
    assert [repr(end) for end in lost] == ["ConnectionLost('the connection ended without a close frame')"] * 2
    assert last == rxws.Close(4001)
    check_account(client.asked, client.answered, client.failed)
    assert len(client.failed) <= 2
    assert len(client.got) == len(set(client.got))
    assert set(client.answered) <= set(client.got)
