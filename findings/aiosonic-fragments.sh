#!/bin/sh
# aiosonic-fragments: aiosonic hands out the first fragment as the whole message, and drops the others.
#
# Expected: a message in fragments arrives whole (RFC 6455, section 5.4). Servers that stream a long answer, and
#           proxies, fragment as they like.
# Seen:     of "reading 42" sent as "reading " and "42", `receive_text()` returns "reading ", and the next call returns
#           the next message. There is no error.
# Matters:  half a number is a number. Nothing tells the program, or the server, that the rest is lost.
# Versions: aiosonic 1.3.3; Python 3.11.7
#
# Printed on 2026-11-29:
#   sent:     'reading ' + '42' as one message, then 'next'
#   received: ['reading ', 'next']
. "$(dirname "$0")/tools.sh"
python_with aiosonic==1.3.3

run_python <<'END'
import asyncio

from aiosonic import WebSocketClient
from wire import TEXT, Server, compare, frame, versions

versions("aiosonic")


async def script(peer):
    await peer.send(frame(TEXT, b"reading ", fin=False), frame(0, b"42"), frame(TEXT, b"next"))
    await peer.rest()


async def main():
    async with Server(script) as server, WebSocketClient() as client:
        socket = await client.connect(server.url)
        received = [await socket.receive_text(timeout=5) for _ in range(2)]
        await socket.close()
    return received


received = asyncio.run(main())
print("sent:     'reading ' + '42' as one message, then 'next'")
print("received:", received)
compare(received, ["reading ", "next"])
END
