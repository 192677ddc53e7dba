"""Feeds by websockets and by Tornado, followed through restarts."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

import rxws
from tests.ports import free_port
from tests.servers.process import check_account, serving, until
from tests.streams import watch


class Client:
    """Follows a feed, and says a number now and then."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self.numbers: list[int] = []
        self.said: list[int] = []
        self.told: list[int] = []

    async def greet(self, connection: rxws.Greeting[Any, Any]) -> None:
        await connection.send({"since": max(self.numbers, default=0)})

    def take(self, message: Any) -> None:
        self.numbers.append(message["number"])

    async def talk(self, socket: rxws.ClientWebSocket[Any, Any]) -> None:
        while True:
            self.say(socket)
            await asyncio.sleep(0.005)

    def say(self, socket: rxws.ClientWebSocket[Any, Any]) -> None:
        self.said.append(len(self.said))
        socket.outgoing.on_next({"said": self.said[-1]})

    @property
    def arrived(self) -> list[int]:
        return [json.loads(line)["said"] for line in self.journal.read_text().splitlines()]

    async def more(self, number: int = 50) -> None:
        goal = len(self.numbers) + number
        await until(lambda: len(self.numbers) >= goal, f"{goal} messages, not {len(self.numbers)}")


@pytest.mark.parametrize(
    ("library", "final", "goodbye"),
    [("websockets", "polite", rxws.Close(1001)), ("tornado", "refused", rxws.Close.received(1005))],
)
async def test_feed_through_restarts(tmp_path: Path, library: str, final: Any, goodbye: rxws.Close) -> None:
    """A feed goes on where it was, after a polite end and after a crash; what was said arrives or is told."""
    port = free_port()
    client = Client(tmp_path / "journal")
    backoff = rxws.Backoff(initial=0.02, maximum=0.1, final=final)
    command = (sys.executable, "-m", "tests.servers.feeds", library, str(port), client.journal)
    env = {"PYTHONPATH": str(Path(__file__).parents[2])}
    options: Any = {"codec": rxws.json, "reconnect": backoff, "greet": client.greet}
    async with (
        serving(tmp_path, *command, port=port, env=env) as server,
        rxws.connect(f"ws://127.0.0.1:{port}/", **options) as socket,
    ):
        states = watch(s=socket.states)
        socket.undelivered.subscribe(lambda message: client.told.append(message["said"]))
        socket.incoming.subscribe(client.take)
        talking = asyncio.create_task(client.talk(socket))
        await client.more()
        await server.stop()
        waiting = [state.because for _, state in states if isinstance(state, rxws.Waiting)]
        await server.start()
        await client.more()

        talking.cancel()
        await until(lambda: client.said[-1] in client.arrived, "the last one in the journal")
        server.signal(signal.SIGSTOP)
        for _ in range(5):
            client.say(socket)
        await asyncio.sleep(0.02)
        await server.kill()
        await server.start()
        await client.more()
        client.say(socket)
        await until(lambda: client.said[-1] in client.arrived, "what was said after the crash")
    assert waiting[0] == goodbye
    assert client.numbers == list(range(1, len(client.numbers) + 1))
    check_account(client.said, client.arrived, client.told)
    assert client.told[-5:] == client.said[-6:-1]
