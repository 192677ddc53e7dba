#!/bin/sh
# aiohttp-exact-limit: aiohttp refuses a plain message of exactly its limit, and takes the same message compressed.
#
# Expected: `max_msg_size=1000` takes messages of up to 1000 bytes, however they travel.
# Seen:     a plain one of 1000 bytes is closed with 1009, 999 pass; with permessage-deflate 1000 pass and 1001 are
#           refused.
# Matters:  a limit that both sides agree on fails at its very value, and whether it does depends on an extension that
#           browsers offer and most Python clients do not: tests pass with the one and fail with the other.
# Versions: aiohttp 3.14.5, websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-29:
#   max_msg_size=1000
#   plain:    999 arrives, 1000 is 1009, 1001 is 1009
#   deflated: 999 arrives, 1000 arrives, 1001 is 1009
. "$(dirname "$0")/tools.sh"
python_with aiohttp==3.14.5 websockets==17.4

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
    socket = web.WebSocketResponse(max_msg_size=1000)
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(str(len(message.data)))
    return socket


async def outcome(url, size, compression):
    async with connect(url, compression=compression, proxy=None) as socket:
        assert bool(socket.protocol.extensions) == bool(compression)
        try:
            await socket.send(bytes(size))
            assert await socket.recv() == str(size)
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
        name: [await outcome(url, size, compression) for size in (999, 1000, 1001)]
        for name, compression in (("plain", None), ("deflated", "deflate"))
    }
    await runner.cleanup()
    return seen


seen = asyncio.run(main())
print("max_msg_size=1000")
for name, outcomes in seen.items():
    print(f"{name + ':':9}", ", ".join(f"{size} {end}" for size, end in zip((999, 1000, 1001), outcomes)))
compare(seen, {"plain": ["arrives", "is 1009", "is 1009"], "deflated": ["arrives", "arrives", "is 1009"]})
END
