"""JSON-RPC 2.0 by rpc-websockets: a login, calls and notifications, through restarts of the server."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

import rxws
from examples.recipes.json_rpc import RpcError, call, question, result
from tests.ports import free_port
from tests.servers.process import beside, causes, check_account, serving, until

NPM = Path(__file__).parent.parent / "npm"


class Client:
    """Says numbers by calls, and is notified of them."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.answered: list[int] = []
        self.failed: list[int] = []
        self.cut_off: list[int] = []
        self.notified: list[int] = []
        self.strangers: list[Any] = []

    async def greet(self, connection: rxws.Greeting[Any, Any]) -> None:
        """Log in and wait for the answer, since the server does not wait with what follows; then subscribe."""
        await connection.send(question("rpc.login", {"token": "right"}))
        assert result(await connection.receive()) is True
        await connection.send(question("rpc.on", ["said"]))
        assert result(await connection.receive()) == {"said": "ok"}

    async def ask(self, socket: rxws.ClientWebSocket[Any, Any]) -> None:
        for number in itertools.count():
            self.asked.append(number)
            try:
                said = await call(socket, "say", [number], timeout=30)
            except rxws.ConnectionLost:
                self.failed.append(number)
            except asyncio.CancelledError:  # the test is over, perhaps between the notification and the answer
                self.cut_off.append(self.asked.pop())
                raise
            else:
                assert said == number
                self.answered.append(number)
            await asyncio.sleep(0.002)

    def take(self, message: Any) -> None:
        match message:
            case {"notification": "said", "params": [number]}:
                self.notified.append(number)
            case {"id": None}:
                self.strangers.append(message)

    async def more(self, number: int = 30) -> None:
        goal = len(self.answered) + number
        await until(lambda: len(self.answered) >= goal, f"{goal} answers, not {len(self.answered)}")


async def test_json_rpc_through_restarts(tmp_path: Path) -> None:
    """The login is answered before any call goes out; each call is answered once, or told to be lost."""
    client, port = Client(), free_port()
    backoff = rxws.Backoff(initial=0.02, maximum=0.1, final="refused")
    options: Any = {"codec": rxws.json, "reconnect": backoff, "greet": client.greet}
    async with (
        serving(tmp_path, "node", NPM / "json-rpc.mjs", str(port), port=port) as server,
        rxws.connect(f"ws://127.0.0.1:{port}/", **options) as socket,
    ):
        ends = causes(socket)
        socket.incoming.subscribe(client.take)
        async with beside(client.ask(socket)):
            await client.more()
            await server.stop()
            await server.start()
            await client.more()
            await server.kill()
            await server.start()
            await client.more()
        with pytest.raises(RpcError, match="Method not found") as refusal:
            await call(socket, "unsaid")
        assert refusal.value.code == -32601
    polite, crash = ends
    assert polite == rxws.Close.received(1005)
    assert isinstance(crash, rxws.ConnectionLost)
    check_account(client.asked, client.answered, client.failed)
    assert len(client.failed) <= 2
    assert client.strangers == []
    assert len(client.notified) == len(set(client.notified))
    assert set(client.answered) <= set(client.notified) <= {*client.asked, *client.cut_off}
