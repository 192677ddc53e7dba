#!/bin/sh
# signalrcore-pings: signalrcore takes a ping for a message; one with a payload ends it, though it should reconnect.
#
# Expected: a ping (RFC 6455, section 5.5.2) is answered with a pong that has its payload, and the program does not see it.
# Seen:     the client never looks at the kind of a frame, except for close. An empty ping is dropped without an answer. One
#           with a payload is parsed as JSON of SignalR, which fails: the client stops reading, keeps the connection open,
#           and calls on_close. It does not come back, though `with_automatic_reconnect` was asked for.
# Matters:  a server that sends empty pings and waits for pongs drops these clients again and again. One whose pings have a
#           payload loses them at the first one, for good. Send them no pings: SignalR has pings of its own, as messages.
# Versions: signalrcore 1.0.2; Python 3.11.7
#
# Printed on 2026-12-01:
#   an empty ping:       no pong; then it handles a message; on_close was not called
#   a ping with "alive": no pong; then it handles no message; on_close was called; connections: 1
. "$(dirname "$0")/tools.sh"
python_with signalrcore==1.0.2

run_python <<'END'
import asyncio
import json
import logging
import threading

from signalrcore.hub_connection_builder import HubConnectionBuilder
from wire import PING, TEXT, Server, compare, frame, versions

versions("signalrcore")
logging.disable()


def invocation(number):
    message = {"type": 1, "target": "tick", "arguments": [number]}
    return frame(TEXT, json.dumps(message).encode() + b"\x1e")


def hub(ping, connections):
    """Return the script of a hub that pings once between two messages."""

    async def script(peer):
        connections.append(peer)
        assert "protocol" in await peer.next()
        await peer.send(frame(TEXT, b"{}\x1e"), invocation(1))
        await asyncio.sleep(0.3)
        await peer.send(frame(PING, ping))
        answer = await peer.next(2)
        await peer.send(invocation(2))
        await asyncio.sleep(4)
        return answer

    return script


async def outcome(ping):
    ticks, closed, connections = [], threading.Event(), []
    async with Server(hub(ping, connections)) as server:
        reconnect = {"type": "raw", "keep_alive_interval": 60, "reconnect_interval": 1, "max_attempts": 5}
        client = (
            HubConnectionBuilder()
            .with_url(f"http://127.0.0.1:{server.port}/hub", options={"skip_negotiation": True})
            .with_automatic_reconnect(reconnect)
            .build()
        )
        client.on("tick", lambda arguments: ticks.append(*arguments))
        client.on_close(closed.set)
        await asyncio.to_thread(client.start)
        answer = await server.done.get()
        was_closed = closed.is_set()
        await asyncio.to_thread(client.stop)
    pong = "no pong" if answer == "silence" else answer
    handled = "a" if ticks == [1, 2] else "no"
    return f"{pong}; then it handles {handled} message; on_close was {'' if was_closed else 'not '}called", len(connections)


seen = {}
for name, ping in {"an empty ping": b"", 'a ping with "alive"': b"alive"}.items():
    seen[name], connections = asyncio.run(outcome(ping))
    if ping:
        seen[name] += f"; connections: {connections}"
    print(f"{name + ':':20} {seen[name]}")
compare(
    list(seen.values()),
    [
        "no pong; then it handles a message; on_close was not called",
        "no pong; then it handles no message; on_close was called; connections: 1",
    ],
)
END
