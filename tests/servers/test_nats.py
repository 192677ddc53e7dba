"""NATS over its own WebSocket listener: a protocol of lines, several a frame, through restarts of the server."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rxws
from tests.ports import free_port
from tests.servers.process import beside, causes, check_account, serving, until
from tests.streams import watch

NATS = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or "nats-server"
CONFIGURATION = """
listen: "127.0.0.1:{client}"
ping_interval: "300ms"
ping_max: 2
websocket {{ listen: "127.0.0.1:{port}", no_tls: true }}
"""
Message = tuple[Any, ...]
PING, PONG = ("PING",), ("PONG",)


class Lines:
    """Operations of the client protocol, each a line; that of a message has another one behind it."""

    batches: list[int] = []
    """How many operations were whole with each frame."""

    def __init__(self) -> None:
        self.begun = b""

    def messages(self, data: str | bytes) -> Iterator[Message]:
        self.begun += data if isinstance(data, bytes) else data.encode()
        if len(self.begun) > 2**20:
            raise ValueError("more than a megabyte without an operation that is whole")
        found = 0
        while (operation := self.operation()) is not None:
            found += 1
            yield operation
        self.batches.append(found)

    def operation(self) -> Message | None:
        """Take the next one, if it is whole."""
        line, end, rest = self.begun.partition(b"\r\n")
        if not end:
            return None
        name, *words = line.decode().split(" ", 1)
        if name != "MSG":
            self.begun = rest
            return (name, json.loads(words[0])) if name == "INFO" else (name, *words)
        subject, _, *_, size = words[0].split()
        if len(rest) < int(size) + 2:
            return None
        self.begun = rest[int(size) + 2 :]
        return name, subject, rest[: int(size)]

    def frames(self, message: Message) -> Iterator[bytes]:
        match message:
            case ("CONNECT", options):
                yield f"CONNECT {json.dumps(options)}\r\n".encode()
            case ("PUB", subject, payload):
                yield f"PUB {subject} {len(payload)}\r\n".encode()
                yield payload + b"\r\n"
            case _:
                yield (" ".join(map(str, message)) + "\r\n").encode()


class Client:
    """Publishes numbers, some of them with a lot behind them, and gets them back."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.got: list[int] = []
        self.told: list[int] = []
        self.others: set[str] = set()

    async def greet(self, connection: rxws.Greeting[Message, Message]) -> None:
        """Log in, and subscribe; the answer to a PING says that both are done."""
        name, info = await connection.receive()
        assert (name, info["max_payload"]) == ("INFO", 1048576)
        for message in (("CONNECT", {"verbose": False, "pedantic": True}), ("SUB", "feed", 1), PING):
            await connection.send(message)
        while (message := await connection.receive()) != PONG:
            assert message == PING, message
            await connection.send(PONG)

    async def publish(self, socket: rxws.ClientWebSocket[Message, Message]) -> None:
        for number in itertools.count():
            self.sent.append(number)
            socket.outgoing.on_next(("PUB", "feed", b"%d " % number + bytes(200_000 if number % 100 == 0 else 0)))
            await asyncio.sleep(0.02 if number % 10 == 0 else 0)

    def take(self, message: Message) -> None:
        if message[0] == "MSG":
            self.got.append(number(message))
        else:
            self.others.add(message[0])

    async def more(self, number: int = 300) -> None:
        goal = len(self.got) + number
        await until(lambda: len(self.got) >= goal, f"{goal} messages, not {len(self.got)}")


def number(message: Message) -> int:
    return int(message[2].split()[0])


async def test_nats_through_restarts(tmp_path: Path) -> None:
    """Each connection is logged in and subscribed before anything goes out; what is published arrives or is told."""
    client, port = Client(), free_port()
    (tmp_path / "nats.conf").write_text(CONFIGURATION.format(client=free_port(), port=port))
    Lines.batches.clear()
    backoff = rxws.Backoff(initial=0.02, maximum=0.1)
    options: Any = {"codec": Lines, "reconnect": backoff, "greet": client.greet}
    answer = rxws.Heartbeat(20, answer=lambda message: PONG if message == PING else None)
    async with (
        serving(tmp_path, NATS, "-c", tmp_path / "nats.conf", port=port) as server,
        rxws.connect(f"ws://127.0.0.1:{port}/", heartbeat=answer, **options) as socket,
    ):
        states = watch(s=socket.states)
        ends = causes(socket)
        socket.incoming.subscribe(client.take)
        socket.undelivered.subscribe(lambda message: client.told.append(number(message)))
        async with beside(client.publish(socket)):
            await client.more()
            await asyncio.sleep(1.2)  # two PINGs without an answer would be the end
            assert len(states) == 2
            await server.stop()
            await server.start()
            await client.more()
            told, sent = len(client.told), len(client.sent)
            await server.kill()
            await server.start()
            await client.more()
        await until(lambda: client.got[-1] == client.sent[-1], "the last one")
    polite, crash = ends
    if isinstance(polite, rxws.Close):  # which a reset overtakes, if the server has not read all when it goes
        assert polite == rxws.Close(1001, "Server Shutdown")
    assert isinstance(crash, rxws.ConnectionLost)
    lost = [one for one in client.sent if one not in client.got and one not in client.told]
    if lost:  # NATS answers a ping where it reads it, before it publishes what came in the same read: a crash between
        undelivered = min(client.told[told:], default=client.sent[sent])
        assert lost == [*range(undelivered - len(lost), undelivered)]
    check_account(client.sent, client.got, [*client.told, *lost])
    assert max(Lines.batches) > 1
    assert client.others == set()  # the pings of the server were answered, and are not messages
