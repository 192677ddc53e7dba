#!/bin/sh
# tornado-keeps-context: Tornado's client agrees not to keep its compression context, and keeps it.
#
# Expected: a client that has been answered `client_no_context_takeover` compresses each message by itself (RFC 7692,
#           sections 7.1.1.2 and 7.2.1), so that its server need not remember anything; websockets' client does.
# Seen:     Tornado's client takes that answer for one that it understands, and compresses with the messages before it
#           all the same. A server that relies on the agreement reads the first message, and not the second.
# Matters:  a server that saves the memory of a context for each connection fails with Tornado's clients, from their
#           second compressed message on. It can tell them by their User-Agent, or leave the parameter out.
# Versions: tornado 6.6.1, websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-29:
#   websockets   1st message: 54 bytes, read by itself    2nd, the same: 54 bytes, read by itself
#   tornado      1st message: 54 bytes, read by itself    2nd, the same: 6 bytes, cannot be read by itself
. "$(dirname "$0")/tools.sh"
python_with tornado==6.6.1 websockets==17.4

run_python <<'END'
import asyncio
import struct
import zlib

import websockets
from tornado.websocket import websocket_connect
from wire import Server, compare, unmasked, versions

versions("tornado", "websockets")
ANSWER = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n"
TEXT = "what resembles the message before it is said again, and again, and again"


async def read(peer):
    """Read a message, and tell how large it was and whether it can be read without those before it."""
    first, size = await peer.reader.readexactly(2)
    length = size & 127
    if length == 126:
        (length,) = struct.unpack("!H", await peer.reader.readexactly(2))
    key = await peer.reader.readexactly(4)
    data = unmasked(await peer.reader.readexactly(length), key)
    assert first == 0xC1, "a compressed text"
    try:
        alone = zlib.decompressobj(-15).decompress(data + b"\0\0\xff\xff").decode() == TEXT
    except zlib.error:
        alone = False
    return len(data), alone


async def with_websockets(url):
    async with websockets.connect(url) as client:
        await client.send(TEXT)
        await client.send(TEXT)


async def with_tornado(url):
    client = await websocket_connect(url, compression_options={})
    await client.write_message(TEXT)
    await client.write_message(TEXT)


async def main():
    seen = {}

    async def script(peer):
        return [await read(peer), await read(peer)]

    for name, say in (("websockets", with_websockets), ("tornado", with_tornado)):
        async with Server(script, headers=ANSWER) as server:
            saying = asyncio.create_task(say(server.url))
            (first, alone), (second, still) = await asyncio.wait_for(server.done.get(), 10)
            saying.cancel()
        how = ["cannot be read by itself", "read by itself"]
        print(f"{name:12} 1st message: {first} bytes, {how[alone]}    2nd, the same: {second} bytes, {how[still]}")
        seen[name] = alone, still
    return seen


compare(asyncio.run(main()), {"websockets": (True, True), "tornado": (True, False)})
END
