"""socket.io: events with attachments, a packet of several frames, and pings that are messages, through restarts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rxws
from tests.ports import free_port
from tests.servers.process import NUMBERS, causes, check_account, send_through_restarts, serving, until

NPM = Path(__file__).parent.parent / "npm"
HOLDER = '{"_placeholder":true,"num":%d}'
ECHO = f'452-["echo",{HOLDER % 0},{HOLDER % 1}]'
MAX_ATTACHMENTS = 10

Packet = tuple[str, *tuple[bytes, ...]]
"""The text of a packet of engine.io, and what is attached to it."""


class Packets:
    """Packets with their attachments, each of which is a frame of its own."""

    def __init__(self) -> None:
        self.packet: Packet | None = None
        self.missing = 0

    def messages(self, data: str | bytes) -> Iterator[Packet]:
        if isinstance(data, str):
            assert self.packet is None
            self.packet, self.missing = (data,), int(data[2 : data.index("-")]) if data.startswith("45") else 0
            assert self.missing <= MAX_ATTACHMENTS
        else:
            assert self.packet is not None
            self.packet, self.missing = (*self.packet, data), self.missing - 1
        if not self.missing:
            packet, self.packet = self.packet, None
            yield packet

    def frames(self, message: Packet) -> Packet:
        return message


async def greet(connection: rxws.Greeting[Packet, Packet]) -> None:
    """Wait for the handshake of engine.io, and shake hands as socket.io does."""
    assert (await connection.receive())[0].startswith("0{")
    await connection.send(("40",))
    assert (await connection.receive())[0].startswith("40{")


async def test_socketio_through_restarts(tmp_path: Path) -> None:
    """Each event comes back with its attachments, its arrival or its loss is known, and pings are answered."""
    port, journal = free_port(), tmp_path / "journal"
    journal.touch()
    answers, asked = True, 0

    def answer(packet: Packet) -> Packet | None:
        nonlocal asked
        if packet[0] != "2":
            return None
        asked += 1
        return ("3",) if answers else ("6",)  # which means nothing

    beat = rxws.Heartbeat(20, answer=answer)
    backoff = rxws.Backoff(initial=0.02, maximum=0.1, final="refused")
    options: Any = {"codec": Packets, "heartbeat": beat, "greet": greet, "reconnect": backoff}
    got: list[int] = []
    told: list[int] = []

    def take(packet: Packet) -> None:
        text, second, first = packet
        assert (text, second) == (ECHO, b"of " + first)
        got.append(int(first))

    def send(number: int) -> None:
        first = b"%d" % number
        socket.outgoing.on_next((ECHO, first, b"of " + first))

    async with (
        serving(tmp_path, "node", NPM / "socketio.mjs", str(port), str(journal), port=port) as server,
        rxws.connect(f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket", **options) as socket,
    ):
        socket.incoming.subscribe(take)
        socket.undelivered.subscribe(lambda packet: told.append(int(packet[1])))
        ends = causes(socket)
        await send_through_restarts(server, socket, send)
        await until(lambda: got[-1:] == [NUMBERS[-1]], "the last one")
        arrived = [int(line.partition("-")[0]) for line in journal.read_text().splitlines()]
        check_account(NUMBERS, arrived, told)
        assert set(got) <= set(arrived)
        assert sorted(got) == got
        before, seen = asked, len(ends)
        await until(lambda: asked >= before + 4, "pings")
        assert len(ends) == seen
        answers = False
        await until(lambda: len(ends) > seen, "the end of a client that answers no pings")
        answers = True
        send(NUMBERS[-1] + 1)
        await until(lambda: got[-1] == NUMBERS[-1] + 1, "the one behind it")
    assert [type(end) for end in ends] == [rxws.Close, rxws.ConnectionLost, rxws.Close]
