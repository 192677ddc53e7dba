"""graphql-ws on Node: strict about what comes first, as servers of graphql-transport-ws are."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import rxws
from examples.recipes import graphql
from tests.ports import free_port
from tests.servers.process import (
    NUMBERS,
    causes,
    check_account,
    rotate,
    send_through_restarts,
    serving,
    until,
)
from tests.streams import ended

BOTH_LOOPS = True
NPM = Path(__file__).parent.parent / "npm"
SOON = rxws.Backoff(initial=0.05, maximum=0.1)
OPTIONS: dict[str, Any] = {"protocols": ["graphql-transport-ws"], "codec": rxws.json, "reconnect": SOON}
Message = dict[str, Any]


class Chat:
    """The server, and what it has noted."""

    def __init__(self, folder: Path) -> None:
        node = shutil.which("node")
        assert node, "Node is not on PATH"
        self.port = free_port()
        self.url = f"ws://127.0.0.1:{self.port}/graphql"
        self.lines = folder / "lines"
        self.journal = folder / "journal"
        self.command = node, NPM / "graphql.mjs", str(self.port), self.lines, self.journal

    def said(self) -> list[int]:
        """What has been said."""
        return [int(line) for line in self.lines.read_text().split()] if self.lines.exists() else []

    def heard(self) -> dict[str, list[Message]]:
        """What has come on each connection."""
        heard = defaultdict[str, list[Message]](list)
        for line in self.journal.read_text().splitlines():
            message = json.loads(line)
            heard[message.pop("connection")].append(message)
        return heard


def say(number: int) -> Message:
    return graphql.operation(f"say-{number}", "mutation ($line: String!) { say(line: $line) }", {"line": str(number)})


def is_subscription(message: Message) -> bool:
    return str(message.get("id")).startswith("subscription")


@pytest.fixture
def chat(tmp_path: Path) -> Chat:
    return Chat(tmp_path)


async def test_restarts_in_mid_stream(tmp_path: Path, chat: Chat) -> None:
    """A chat through a polite restart and a crash: each line arrives once or is told, and is read once, in order."""
    read: list[int] = []
    undelivered: list[Message] = []
    incoming: list[Message] = []

    async with (
        serving(tmp_path, *chat.command, port=chat.port) as server,
        graphql.connect(chat.url, "right", reconnect=SOON) as socket,
    ):
        socket.incoming.subscribe(incoming.append)
        socket.undelivered.subscribe(undelivered.append)
        query = "subscription ($after: Int!) { said(after: $after) }"
        lines = graphql.subscription(socket, query, lambda: {"after": len(read)})
        subscription = lines.subscribe(lambda data: read.append(int(data["said"])))
        ends = causes(socket)
        await send_through_restarts(server, socket, lambda number: socket.outgoing.on_next(say(number)))
        await until(lambda: chat.said()[-1:] == [NUMBERS[-1]] and read == chat.said(), "all that was said is read")
        subscription.dispose()
        await until(lambda: [*chat.heard().values()][-1][-1]["type"] == "complete", "the subscription is over")
        assert await rotate(socket) == []
        stats = socket.stats
    told = [int(message["payload"]["variables"]["line"]) for message in undelivered if not is_subscription(message)]
    heard = chat.heard()
    arrived = [
        int(id[4:]) for messages in heard.values() for one in messages if (id := one.get("id", "")).startswith("say-")
    ]
    check_account(NUMBERS, arrived, told)
    assert chat.said() == [number for number in arrived if number in chat.said()]  # a crash left some undone
    assert ends[0] == rxws.Close(1001, "Going away")
    assert isinstance(ends[1], rxws.ConnectionLost)
    assert len(heard) == 4  # of which one took over from another
    for index, messages in enumerate(heard.values()):
        assert messages[0] == {"type": "connection_init", "payload": {"token": "right"}}
        count = len([*filter(is_subscription, messages)])
        assert count in {2: (2,), 3: (0,)}.get(index, (0, 1))  # it follows what was kept, if there is time
    count = sum(map(len, heard.values()))
    assert count <= stats.sent <= count + len(undelivered)
    assert stats.received == len(incoming) + 4
    assert (stats.buffered, stats.dropped) == (0, 0)


async def test_no_greeting_is_refused(tmp_path: Path, chat: Chat) -> None:
    """Who speaks before the login is told 4401, which is final; a wrong token is 4403."""
    async with serving(tmp_path, *chat.command, port=chat.port):
        async with rxws.connect(chat.url, **OPTIONS) as socket:
            socket.outgoing.on_next(say(1))
            assert await ended(socket) == rxws.Close(4401, "Unauthorized")
        wrong = {"type": "connection_init", "payload": {"token": "wrong"}}
        async with rxws.connect(chat.url, greet=wrong, **OPTIONS) as socket:
            assert await ended(socket) == rxws.Close(4403, "Forbidden")
    assert chat.said() == []


async def test_pings_in_words(tmp_path: Path, chat: Chat) -> None:
    """The protocol's own pings are answered and measure; a server that hangs is left, and found again."""
    beat = rxws.Heartbeat(0.2, ping={"type": "ping"}, pong=lambda message: message["type"] == "pong")
    options: dict[str, Any] = {"reconnect": SOON, "heartbeat": beat, "close_timeout": 0.2}
    async with (
        serving(tmp_path, *chat.command, port=chat.port) as server,
        graphql.connect(chat.url, "right", **options) as socket,
    ):
        incoming: list[Message] = []
        socket.incoming.subscribe(incoming.append)
        ends = causes(socket)
        await until(lambda: socket.rtt is not None, "a pong")
        assert (ends, incoming, socket.stats.sent, socket.stats.received) == ([], [], 1, 1)
        server.signal(signal.SIGSTOP)
        await until(lambda: ends, "the end of a connection without a sign of life")
        server.signal(signal.SIGCONT)
        await until(lambda: socket.rtt is not None, "a pong on the next one")
        assert [type(end) for end in ends] == [rxws.HeartbeatTimeout]
        assert {"type": "ping"} in list(chat.heard().values())[-1]


async def test_recipe(tmp_path: Path, chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    """The recipe subscribes, says a line by a mutation, and reads it; an operation that is refused raises."""
    async with serving(tmp_path, *chat.command, port=chat.port):
        await asyncio.wait_for(graphql.main(chat.url, "right"), 20)
        async with graphql.connect(chat.url, "right") as socket:
            with pytest.raises(graphql.GraphQLError, match="unsaid"):
                await graphql.execute(socket, "{ unsaid }")
    assert capsys.readouterr().out.splitlines() == ["says {'say': 'hello'}", "reads hello"]
