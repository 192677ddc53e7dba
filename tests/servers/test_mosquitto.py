"""mosquitto: MQTT 3.1.1, whose packets do not end where frames do, in a network of its own."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import re
import socket as sockets
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rxws
from examples.recipes import mqtt
from examples.recipes.mqtt import Kind, Mqtt, Packet
from tests.servers.process import NUMBERS, causes, check_account, rotate, send_through_restarts, serving, until
from tests.streams import ended

BOTH_LOOPS = True
PORT = 9001
URL = f"ws://127.0.0.1:{PORT}/mqtt"
SOON = rxws.Backoff(initial=0.05, maximum=0.1)
NEW_NETWORK, SET_FLAGS, IS_UP = 0x40000000, 0x8914, 1  # of Linux

CONFIG = f"""
user root
listener {PORT + 1} 127.0.0.1
listener {PORT} 127.0.0.1
protocol websockets
allow_anonymous false
password_file {{folder}}/passwords
persistence true
persistence_location {{folder}}/
autosave_interval 1
autosave_on_changes true
log_type all
"""


def publish(number: int) -> Packet:
    return mqtt.publication("numbers", str(number).encode(), number + 1)


def number_of(packet: Packet) -> int:
    at = 2 + int.from_bytes(packet.body[:2])
    return int(packet.body[at + (2 if packet.flags & 6 else 0) :])


class Login(mqtt.Login):
    """The recipe's, whose answers are counted."""

    def __init__(self, client: str, password: str = "secret") -> None:
        super().__init__(client, "ada", password, "numbers")
        self.kept: list[bool] = []
        """Whether the broker had a session, for each connection."""

    async def __call__(self, connection: rxws.Greeting[Packet, Packet]) -> bool:
        self.kept.append(await super().__call__(connection))
        return self.kept[-1]


@pytest.fixture
def own_network() -> Iterator[None]:
    """Have all that is made in this thread, processes and sockets, in a network namespace of its own.

    mosquitto 2.0.11 listens on all addresses for WebSockets, whatever it is told.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(NEW_NETWORK):
            pytest.skip(f"needs the right to make a network namespace: {os.strerror(ctypes.get_errno())}")
        with sockets.socket() as any_socket:
            fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh", b"lo", IS_UP))
        yield
    finally:
        assert libc.setns(before, NEW_NETWORK) == 0, os.strerror(ctypes.get_errno())
        os.close(before)


@pytest.fixture
def command(tmp_path: Path) -> tuple[str | Path, ...]:
    (tmp_path / "passwords").write_text("ada:secret\n")
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    subprocess.run(["mosquitto_passwd", "-U", tmp_path / "passwords"], check=True, env=environment)
    config = tmp_path / "mosquitto.conf"
    config.write_text(CONFIG.format(folder=tmp_path))
    return "mosquitto", "-c", config


OPTIONS: dict[str, Any] = {
    "protocols": ["mqtt"],
    "codec": Mqtt,
    "heartbeat": rxws.Heartbeat(0.5, ping=Packet(Kind.PINGREQ), pong=lambda packet: packet.kind == Kind.PINGRESP),
    "reconnect": SOON,
}


async def test_restarts_in_mid_stream(tmp_path: Path, own_network: None, command: tuple[str | Path, ...]) -> None:
    """Numbers to a topic that one has subscribed, through a polite restart and a crash, in a session that is kept.

    Each one arrives once or is told. What the broker sends again, since a crash took the confirmation, it marks.
    """
    login = Login("one")
    incoming: list[Packet] = []
    received: list[Packet] = []
    undelivered: list[Packet] = []
    async with (
        serving(tmp_path, *command, port=PORT) as server,
        rxws.connect(URL, greet=login, **OPTIONS) as socket,
    ):

        def take(packet: Packet) -> None:
            incoming.append(packet)
            if packet.kind == Kind.PUBLISH:
                received.append(packet)
                at = 2 + int.from_bytes(packet.body[:2])
                socket.outgoing.on_next(Packet(Kind.PUBACK, packet.body[at : at + 2]))

        socket.incoming.subscribe(take)
        socket.undelivered.subscribe(undelivered.append)
        ends = causes(socket)
        await send_through_restarts(server, socket, lambda number: socket.outgoing.on_next(publish(number)))
        await until(lambda: [*map(number_of, received)][-1:] == [NUMBERS[-1]], "the last number has come back")
        await until(lambda: socket.stats.rtt is not None, "its pings are answered")
        (lost,) = await rotate(socket)  # the broker drops the old connection of the session
        assert isinstance(lost, rxws.ConnectionLost)
        stats = socket.stats
    arrived = [
        int(number) - 1 for number in re.findall(r"Received PUBLISH from one \(d0, q1, r0, m(\d+)", server.output)
    ]
    told = [number_of(packet) for packet in undelivered if packet.kind == Kind.PUBLISH]
    check_account(NUMBERS, arrived, told)
    first = [number_of(packet) for packet in received if not packet.flags & 8]
    assert len(first) == len(set(first))
    missing = set(arrived) - {number_of(packet) for packet in received}
    assert missing <= set(range(150, 181))  # sent before the crash, which took what the broker had not saved
    assert [type(end) for end in ends] == [rxws.ConnectionLost] * 3  # of which the rotation is one
    assert login.kept == [False, True, True, True]
    assert stats.received == len(incoming) + 2 * len(login.kept)
    assert (stats.buffered, stats.dropped) == (0, 0)


async def test_refused(tmp_path: Path, own_network: None, command: tuple[str | Path, ...]) -> None:
    """A wrong password is answered; the greeting makes a close of it, which is final."""
    async with (
        serving(tmp_path, *command, port=PORT),
        rxws.connect(URL, greet=Login("one", "wrong"), **OPTIONS) as socket,
    ):
        assert await ended(socket) == rxws.Close(4401, "refused: 5")


async def test_recipe(
    tmp_path: Path, own_network: None, command: tuple[str | Path, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """The recipe publishes, is confirmed, and reads what it has published."""
    async with serving(tmp_path, *command, port=PORT):
        await asyncio.wait_for(mqtt.main(URL), 20)
    assert capsys.readouterr().out.splitlines() == ["received 0", "received 1", "received 2"]
