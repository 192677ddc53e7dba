"""SocketCluster: its handshake, a channel, and pings that are messages, through restarts of the server."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import rxws
from tests.servers.process import beside, check_account, free_port, serving, until
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
    """Publishes numbers in a channel, and gets them back."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.got: list[int] = []
        self.told: list[int] = []
        self.pings = 0
        self.answers_pings = True

    async def greet(self, connection: rxws.Greeting[Any, Any]) -> None:
        """Shake hands, and subscribe, before anything is published."""
        await connection.send({"event": "#handshake", "data": {}, "cid": 1})
        assert (await self.answer(connection))["rid"] == 1
        await connection.send({"event": "#subscribe", "data": {"channel": "feed"}, "cid": 2})
        assert await self.answer(connection) == {"rid": 2}

    async def answer(self, connection: rxws.Greeting[Any, Any]) -> Any:
        """Wait for a message, and answer the pings before it."""
        while (message := await connection.receive()) is PING:
            await connection.send(PING)
        return message

    async def publish(self, socket: rxws.ClientWebSocket[Any, Any]) -> None:
        for number in itertools.count():
            self.sent.append(number)
            socket.outgoing.on_next({"event": "#publish", "data": {"channel": "feed", "data": number}})
            await asyncio.sleep(0.005)

    def take(self, message: Any, answer: Any) -> None:
        if message is PING:
            self.pings += 1
            if self.answers_pings:
                answer(PING)
        elif message.get("event") == "#publish":
            self.got.append(message["data"]["data"])

    async def more(self, number: int = 50) -> None:
        goal = len(self.got) + number
        await until(lambda: len(self.got) >= goal, f"{goal} messages, not {len(self.got)}")


async def test_socketcluster_through_restarts(tmp_path: Path) -> None:
    """The handshake and the subscription go first on each connection; what is published arrives or is told."""
    client = Client()
    port = free_port()
    backoff = rxws.Backoff(initial=0.02, maximum=0.1, final="never")
    options: Any = {"codec": Messages(), "reconnect": backoff, "greet": client.greet}
    async with (
        serving(tmp_path, "node", NPM / "socketcluster.mjs", str(port), port=port) as server,
        rxws.connect(f"ws://127.0.0.1:{port}/socketcluster/", **options) as socket,
    ):
        states = watch(s=socket.states)
        socket.incoming.subscribe(lambda message: client.take(message, socket.outgoing.on_next))
        socket.undelivered.subscribe(lambda message: message and client.told.append(message["data"]["data"]))
        async with beside(client.publish(socket)):
            await client.more()
            await server.stop()
            await server.start()
            await client.more()
            await server.kill()
            await server.start()
            await client.more()
        await until(lambda: client.got[-1] == client.sent[-1], "the last one")
        assert client.pings > 0
        client.answers_pings, seen = False, len(states)
        await until(lambda: len(states) > seen + 2, "the end of a client that answers no pings, and its return")
        socket.outgoing.on_next({"event": "#publish", "data": {"channel": "feed", "data": len(client.sent)}})
        client.sent.append(len(client.sent))
        await until(lambda: client.got[-1] == client.sent[-1], "the last one")
    ends = [state.because for _, state in states[:-1] if isinstance(state, rxws.Waiting)]
    *lost, last = [end for end in ends if not isinstance(end, rxws.ConnectError)]
    assert [type(end) for end in lost] == [rxws.ConnectionLost] * 2
    assert last == rxws.Close(4001)
    check_account(client.sent, client.got, client.told)
