"""MQTT 3.1.1 over WebSockets: packets that span frames, a session that the broker keeps, and confirmations.

    mosquitto -c mosquitto.conf                               # the file is in docs/mqtt.md
    python examples/recipes/mqtt.py ws://localhost:9001/mqtt

Publishes three numbers with QoS 1, waits for each confirmation, and prints what the broker sends to the topic.
"""

import asyncio
import itertools
import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from enum import IntEnum
from typing import NamedTuple

from reactivex import Observable
from reactivex import operators as ops

import rxws

LONGEST = 65536  # bytes of a packet
identifiers = itertools.cycle(range(1, 65536))


class Kind(IntEnum):
    CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4
    SUBSCRIBE, SUBACK, PINGREQ, PINGRESP = 8, 9, 12, 13


class Packet(NamedTuple):
    """A control packet: what it is, the rest, and the four bits beside its kind."""

    kind: Kind
    body: bytes = b""
    flags: int = 0


Socket = rxws.ClientWebSocket[Packet, Packet]


class Mqtt:
    """The codec. It keeps the beginning of an unfinished packet, so each connection has its own: `codec=Mqtt`."""

    def __init__(self) -> None:
        self._begun = b""

    def messages(self, data: str | bytes, /) -> Iterator[Packet]:
        if isinstance(data, str):
            raise ValueError("MQTT comes in binary frames")
        self._begun += data
        while (end := self._end()) is not None and end <= len(self._begun):
            packet, self._begun = self._begun[:end], self._begun[end:]
            length = next(at for at in range(1, 5) if packet[at] < 128)
            yield Packet(Kind(packet[0] >> 4), packet[length + 1 :], packet[0] & 15)

    def _end(self) -> int | None:
        """Where the first packet ends, if its length has come."""
        length = 0
        for at, byte in enumerate(self._begun[1:5]):
            length += (byte & 127) << 7 * at
            if byte < 128 and length <= LONGEST:
                return length + at + 2
            if byte < 128 or at == 3:  # nothing tells where the next packet begins
                raise rxws.Close(1009, f"a packet of {length} bytes")
        return None

    def frames(self, message: Packet, /) -> list[bytes]:
        left, length = len(message.body), b""
        while left > 127:
            length += bytes([left % 128 | 128])
            left //= 128
        return [bytes([message.kind << 4 | message.flags]) + length + bytes([left]) + message.body]


def text(value: str) -> bytes:
    return len(value).to_bytes(2) + value.encode()


class Login:
    """Greets: logs in, subscribes, and waits for both answers. What the session has kept may come between them."""

    def __init__(self, client: str, user: str, password: str, topic: str) -> None:
        keep_alive, flags = (60).to_bytes(2), bytes([4, 0b11000000])  # of MQTT 3.1.1, with a user and a password
        self.connect = Packet(
            Kind.CONNECT, text("MQTT") + flags + keep_alive + text(client) + text(user) + text(password)
        )
        self.subscribe = Packet(Kind.SUBSCRIBE, b"\x00\x01" + text(topic) + b"\x01", 2)

    async def __call__(self, connection: rxws.Greeting[Packet, Packet]) -> bool:
        """Return whether the broker had a session."""
        await connection.send(self.connect)
        accepted = await connection.receive()
        if accepted.body[1]:
            raise rxws.Close(4401, f"refused: {accepted.body[1]}")
        await connection.send(self.subscribe)
        granted = await connection.receive(lambda packet: packet.kind == Kind.SUBACK)
        if granted.body[2] == 0x80:
            raise rxws.Close(4403, "no such topic")
        return bool(accepted.body[0])


def connect(url: str, login: Login) -> AbstractAsyncContextManager[Socket]:
    """Connect like `rxws.connect`, with reconnecting and with MQTT's own heartbeat."""
    heartbeat = rxws.Heartbeat(20, ping=Packet(Kind.PINGREQ), pong=lambda packet: packet.kind == Kind.PINGRESP)
    backoff = rxws.Backoff(initial=0.1)
    return rxws.connect(url, protocols=["mqtt"], codec=Mqtt, heartbeat=heartbeat, reconnect=backoff, greet=login)


def publication(topic: str, payload: bytes, identifier: int) -> Packet:
    return Packet(Kind.PUBLISH, text(topic) + identifier.to_bytes(2) + payload, 0b0010)


async def publish(socket: Socket, topic: str, payload: bytes) -> None:
    """Publish with QoS 1, and wait until the broker has it."""
    packet = publication(topic, payload, identifier := next(identifiers))
    await socket.request(packet, matches=lambda one: one == Packet(Kind.PUBACK, identifier.to_bytes(2)))


def published(socket: Socket) -> Observable[bytes]:
    """Emit what comes on the topic, and confirm it."""

    def is_publication(packet: Packet) -> bool:
        return packet.kind == Kind.PUBLISH

    def take(packet: Packet) -> bytes:
        at = 2 + int.from_bytes(packet.body[:2])
        if not packet.flags & 6:
            return packet.body[at:]
        socket.outgoing.on_next(Packet(Kind.PUBACK, packet.body[at : at + 2]))
        return packet.body[at + 2 :]

    return socket.incoming.pipe(ops.filter(is_publication), ops.map(take))


async def main(url: str, user: str = "ada", password: str = "secret") -> None:
    async with connect(url, Login("recipe", user, password, "numbers")) as socket:
        received = asyncio.Queue[bytes]()
        published(socket).subscribe(received.put_nowait)
        for number in range(3):
            await publish(socket, "numbers", str(number).encode())
            print("received", (await received.get()).decode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
