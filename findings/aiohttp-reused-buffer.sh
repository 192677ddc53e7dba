#!/bin/sh
# aiohttp-reused-buffer: a bytearray that is reused after `await send_bytes()` changes what the peer gets.
#
# Expected: once `await socket.send_bytes(buffer)` has returned, the message is out of the program's hands, and the buffer
#           may be filled with the next one.
# Seen:     asyncio from Python 3.12 on, and uvloop, keep a view of what the kernel did not take, and `send_bytes` waits
#           only above 64 KiB. The end of the message becomes what the buffer holds later: valid frames, wrong bytes.
#           With asyncio of 3.11, which copies, and with `websockets`, which copies on every Python, nothing changes.
# Matters:  pools of buffers are how one makes binary feeds fast. The fault shows with slow peers only, and only after
#           an upgrade of Python. Send `bytes(buffer)`.
# Versions: aiohttp 3.14.5, websockets 17.4, uvloop 0.23.0; Python 3.11.7 and 3.13.0
#
# Printed on 2026-11-29, with Python 3.13.0 (with 3.11.7 the first line says: none)
#   aiohttp on asyncio: bytes of the next message in those sent before: some
#   aiohttp on uvloop: bytes of the next message in those sent before: some
#   websockets on asyncio: bytes of the next message in those sent before: none
. "$(dirname "$0")/tools.sh"
python_with aiohttp==3.14.5 websockets==17.4 uvloop==0.23.0

run_python <<'END'
import asyncio
import sys

import uvloop
from aiohttp import web
from websockets.asyncio.server import serve
from wire import compare, connect, versions

versions("aiohttp", "websockets", "uvloop")
SIZE = 60_000


async def fill(send, transport):
    """Send from one buffer until the kernel takes no more, then write the next message into it."""
    buffer = bytearray(b"a" * SIZE)
    count = 0
    while not transport.get_write_buffer_size():
        await send(buffer)
        count += 1
    buffer[:] = b"b" * SIZE
    return count


async def read(port, count):
    """Read so many messages at the peer, and count the bytes that were not in them when they were sent."""
    _, peer = await connect(port)
    wrong = 0
    messages = await count
    for _ in range(messages):
        await peer.reader.readexactly(4)
        wrong += (await peer.reader.readexactly(SIZE)).count(b"b")
    peer.writer.transport.abort()
    return "some" if wrong else "none"


async def with_aiohttp():
    count = asyncio.get_running_loop().create_future()

    async def handler(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        count.set_result(await fill(socket.send_bytes, request.transport))
        await socket.receive()
        return socket

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    seen = await read(runner.addresses[0][1], count)
    await runner.cleanup()
    return seen


async def with_websockets():
    count = asyncio.get_running_loop().create_future()

    async def handler(socket):
        count.set_result(await fill(socket.send, socket.transport))
        await socket.wait_closed()

    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        return await read(server.sockets[0].getsockname()[1], count)


seen = [asyncio.run(with_aiohttp()), uvloop.run(with_aiohttp()), asyncio.run(with_websockets())]
for name, outcome in zip(("aiohttp on asyncio", "aiohttp on uvloop", "websockets on asyncio"), seen):
    print(f"{name}: bytes of the next message in those sent before: {outcome}")
compare(seen, ["some" if sys.version_info >= (3, 12) else "none", "some", "none"])
END
