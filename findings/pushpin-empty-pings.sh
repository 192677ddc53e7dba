#!/bin/sh
# pushpin-empty-pings: Pushpin passes on each ping and pong without its bytes, so clients take no pong for an answer.
#
# Expected: a proxy passes pings and pongs as they are, or answers pings itself, with their bytes (RFC 6455, 5.5.3).
# Seen:     a ping with 'one' reaches the server as an empty ping, and its answer the client as an empty pong; the other way it
#           is the same. A client on `websockets`, whose pings are on by default and have four random bytes, closes with 1011
#           "keepalive ping timeout" after its first ping, while messages go back and forth.
# Matters:  behind Pushpin, healthy clients leave after 40 s, and servers with such pings drop healthy clients. A client that
#           measures the round trip, or learns by pings what has arrived, learns nothing.
# Versions: Debian's pushpin 1.36.0-2 (bookworm), websockets 17.4; Python 3.11.7; needs apt-get, and installs nothing
#
# Printed on 2026-12-01:
#   the client's ping 'one': the server gets ping b'', the client gets pong b''
#   the server's ping 'two': the client gets ping b'', the server gets pong b''
#   a client that pings each second, and talks all the time: 1011 'keepalive ping timeout'
#   a client that sends no pings: 30 messages and 30 answers
. "$(dirname "$0")/tools.sh"
python_with websockets==17.4
pushpin_from_debian

run_python <<'END'
import asyncio
import logging

from pushpin import pushpin
from websockets.asyncio.client import connect as websockets_connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedError
from wire import PING, PONG, Server, compare, connect, frame, versions

versions("websockets")
logging.disable()


async def raw():
    peers = asyncio.Queue()

    async def keep(peer):
        peers.put_nowait(peer)
        await asyncio.Event().wait()

    async with Server(keep) as server:
        with pushpin(server.port) as port:
            _, client = await connect(port)
            behind = await peers.get()
            await client.send(frame(PING, b"one", masked=True))
            seen = [await behind.next(3)]
            await behind.send(frame(PONG, b"one"))
            seen.append(await client.next(3))
            await behind.send(frame(PING, b"two"))
            seen.append(await client.next(3))
            await client.send(frame(PONG, b"two", masked=True))
            seen.append(await behind.next(3))
    return seen


async def talk(port, **options):
    async with websockets_connect(f"ws://127.0.0.1:{port}/", **options) as client:
        try:
            for _ in range(30):
                await client.send("hello")
                await client.recv()
                await asyncio.sleep(0.2)
        except ConnectionClosedError as end:
            return f"{end.sent.code} {end.sent.reason!r}"
    return "30 messages and 30 answers"


async def main():
    async def echo(socket):
        async for message in socket:
            await socket.send(message)

    seen = await raw()
    print(f"the client's ping 'one': the server gets {seen[0]}, the client gets {seen[1]}")
    print(f"the server's ping 'two': the client gets {seen[2]}, the server gets {seen[3]}")
    async with serve(echo, "127.0.0.1", 0, ping_interval=None) as server:
        with pushpin(server.sockets[0].getsockname()[1]) as port:
            pinging = await talk(port, ping_interval=1, ping_timeout=2)
            print(f"a client that pings each second, and talks all the time: {pinging}")
            silent = await talk(port, ping_interval=None)
            print(f"a client that sends no pings: {silent}")
    return [*seen, pinging, silent]


empty = ["ping b''", "pong b''"] * 2
compare(asyncio.run(main()), [*empty, "1011 'keepalive ping timeout'", "30 messages and 30 answers"])
END
