#!/bin/sh
# amqtt-second-client: amqtt leaves a client connected, and sends it nothing more, once another one has the same client id.
#
# Expected: the broker disconnects the first one (MQTT 3.1.1, 3.1.4: "the Server MUST disconnect the existing Client").
# Seen:     the first one stays connected and its pings are answered, but its subscriptions are from now on the
#           other one's: it gets nothing. mosquitto 2.0.11 and Aedes 1.2.0 drop it.
# Matters:  two processes with one id by mistake: the first looks healthy, and is deaf. Only a time limit for silence, or a
#           message that it sends to itself, tells.
# Versions: amqtt 0.12.1; Python 3.11.7
#
# Printed on 2026-12-01:
#   the first client alone:                       PUBLISH b'one'
#   the first client, once there is a second one: silence; its ping is answered with PINGRESP
#   the second client:                            PUBLISH b'two'
. "$(dirname "$0")/tools.sh"
python_with amqtt==0.12.1

run_python <<'END'
import asyncio
from pathlib import Path

from wire import BINARY, compare, connect, frame, free_port, running, versions

versions("amqtt")
port = free_port()
Path("amqtt.yaml").write_text(f"""
listeners:
  default:
    type: ws
    bind: 127.0.0.1:{port}
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin:
    allow_anonymous: true
""")


def text(value):
    return bytes([0, len(value)]) + value


def packet(kind, body=b""):
    return frame(BINARY, bytes([kind, len(body)]) + body, masked=True)


async def client(name, topic=None):
    """Return a client that has connected, and has subscribed to the topic."""
    _, peer = await connect(port, headers="Sec-WebSocket-Protocol: mqtt\r\n")
    await peer.send(packet(0x10, text(b"MQTT") + b"\x04\x02\x00\x3c" + text(name)))
    assert await peer.next() == r"binary b' \x02\x00\x00'"  # CONNACK
    if topic:
        await peer.send(packet(0x82, b"\x00\x01" + text(topic) + b"\x00"))
        assert (await peer.next()).startswith(r"binary b'\x90")  # SUBACK
    return peer


async def main():
    first, sender = await client(b"worker", b"jobs"), await client(b"sender")
    await sender.send(packet(0x30, text(b"jobs") + b"one"))
    alone = await first.next()
    second = await client(b"worker", b"jobs")
    await sender.send(packet(0x30, text(b"jobs") + b"two"))
    other, deaf = await second.next(), await first.next(2)
    await first.send(packet(0xC0))
    return alone, deaf, await first.next(), other


with running("venv/bin/amqtt", "-c", "amqtt.yaml", port=port):
    seen = asyncio.run(main())
names = {
    r"binary b'0\t\x00\x04jobsone'": "PUBLISH b'one'",
    r"binary b'0\t\x00\x04jobstwo'": "PUBLISH b'two'",
    r"binary b'\xd0\x00'": "PINGRESP",
}
alone, deaf, ping, other = (names.get(line, line) for line in seen)
print("the first client alone:                      ", alone)
print(f"the first client, once there is a second one: {deaf}; its ping is answered with {ping}")
print("the second client:                           ", other)
compare((alone, deaf, ping, other), ("PUBLISH b'one'", "silence", "PINGRESP", "PUBLISH b'two'"))
END
