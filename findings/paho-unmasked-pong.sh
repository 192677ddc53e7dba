#!/bin/sh
# paho-unmasked-pong: paho-mqtt over WebSockets answers pings and close frames with frames that are not masked.
#
# Expected: all that a client sends is masked (RFC 6455, section 5.1), a pong as well as a message. paho's messages are.
# Seen:     the pong and the answer to a close frame are not. A server on `websockets` fails the connection with 1002 at the
#           first ping; paho reports "Unspecified error", connects again, and so on from ping to ping.
# Matters:  any server with a heartbeat drops each paho client after each of its pings, and so those of aiomqtt, which is
#           made of paho. A broker that sends no pings, as mosquitto, never shows it. MQTT has pings of its own: turn those
#           of the WebSocket off for such clients.
# Versions: paho-mqtt 2.2.0, websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-30:
#   CONNECT, a message: masked
#   pong b'hello': not masked
#   close 4001: not masked
#   on websockets, with pings:    the server sees 1002 incorrect masking, the client: Success, Unspecified error
#   on websockets, without pings: the server sees DISCONNECT, the client: Success, Normal disconnection
. "$(dirname "$0")/tools.sh"
python_with paho-mqtt==2.2.0 websockets==17.4

run_python <<'END'
import asyncio
import time

import paho.mqtt.client as mqtt
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from wire import BINARY, PING, Server, close, compare, frame, shown, unmasked, versions

versions("paho-mqtt", "websockets")
CONNACK = b"\x20\x02\0\0"


def client(port):
    """Connect for two seconds, leave, and return what the callbacks were told first."""
    told = []
    one = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, transport="websockets")
    one.reconnect_delay_set(30)
    one.on_connect = lambda *arguments: told.append(str(arguments[3]))
    one.on_disconnect = lambda *arguments: told.append(str(arguments[3]))
    one.connect("127.0.0.1", port)
    one.loop_start()
    time.sleep(2)
    one.disconnect()
    one.loop_stop()
    return ", ".join(told[:2])


async def next_frame(peer):
    """Return whether the next frame, which is short, is masked, and the frame as a line."""
    first, size = await peer.reader.readexactly(2)
    key = await peer.reader.readexactly(4) if size & 0x80 else bytes(4)
    line = shown(first, unmasked(await peer.reader.readexactly(size & 0x7F), key))
    return line, "masked" if size & 0x80 else "not masked"


async def script(peer):
    seen = [("CONNECT, a message", (await next_frame(peer))[1])]
    await peer.send(frame(BINARY, CONNACK), frame(PING, b"hello"))
    seen.append(await next_frame(peer))
    await peer.send(close(4001))
    seen.append(await next_frame(peer))
    return seen


async def broker(socket):
    await socket.recv()
    await socket.send(CONNACK)
    try:
        ends.append("DISCONNECT" if await socket.recv() == b"\xe0\0" else "a message")
    except ConnectionClosed as error:
        ends.append(f"{error.sent.code} {error.sent.reason}")


async def main():
    async with Server(script, headers="Sec-WebSocket-Protocol: mqtt\r\n") as server:
        await asyncio.to_thread(client, server.port)
        frames = server.done.get_nowait()
    told = []
    for ping_interval in (0.5, None):
        async with serve(broker, "127.0.0.1", 0, subprotocols=["mqtt"], ping_interval=ping_interval) as server:
            told.append(await asyncio.to_thread(client, server.sockets[0].getsockname()[1]))
    return frames, told


ends = []
frames, told = asyncio.run(main())
for line, masked in frames:
    print(f"{line}: {masked}")
print("on websockets, with pings:    the server sees", f"{ends[0]}, the client: {told[0]}")
print("on websockets, without pings: the server sees", f"{ends[-1]}, the client: {told[1]}")
compare(
    (frames, ends[0], ends[-1], told),
    (
        [("CONNECT, a message", "masked"), ("pong b'hello'", "not masked"), ("close 4001", "not masked")],
        "1002 incorrect masking",
        "DISCONNECT",
        ["Success, Unspecified error", "Success, Normal disconnection"],
    ),
)
END
