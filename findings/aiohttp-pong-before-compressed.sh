#!/bin/sh
# aiohttp-pong-before-compressed: two releases of aiohttp end a connection whose first compressed message follows a pong.
#
# Expected: a control frame may come before any message (RFC 6455, section 5.4), compressed or not.
# Seen:     behind a pong that comes first, a compressed message is a 1002, "non-zero reserved bits"; a plain one passes,
#           and so does a compressed one when another message came before. 3.14.1 and 3.14.5 take it.
# Matters:  a server that pings as soon as it is connected loses each browser that then sends; without compression, in
#           tests say, nothing is to be seen.
# Versions: aiohttp 3.14.2 (3.14.3 is the same), websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-30:
#   plain:    pong first: arrives; message first: arrives
#   deflated: pong first: is 1002; message first: arrives
. "$(dirname "$0")/tools.sh"
python_with aiohttp==3.14.2 websockets==17.4

run_python <<'END'
import asyncio
import logging

from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from wire import compare, versions

versions("aiohttp", "websockets")
logging.disable(logging.CRITICAL)


async def handler(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


async def outcome(url, compression, said_before):
    async with connect(url, compression=compression, proxy=None) as socket:
        assert bool(socket.protocol.extensions) == bool(compression)
        try:
            if said_before:
                await socket.send("first " * 50)
                await socket.recv()
            await socket.pong()
            await socket.send("hello " * 50)
            assert await socket.recv() == "hello " * 50
            return "arrives"
        except ConnectionClosed as error:
            return f"is {error.rcvd.code}"


async def main():
    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    seen = {
        name: [await outcome(url, compression, said_before) for said_before in (False, True)]
        for name, compression in (("plain", None), ("deflated", "deflate"))
    }
    await runner.cleanup()
    return seen


seen = asyncio.run(main())
for name, (pong, message) in seen.items():
    print(f"{name + ':':9} pong first: {pong}; message first: {message}")
compare(seen, {"plain": ["arrives", "arrives"], "deflated": ["is 1002", "arrives"]})
END
