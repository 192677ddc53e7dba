#!/bin/sh
# pong-after-close: uvicorn answers a ping that comes behind messages which it has just thrown away.
#
# Expected: a pong says that the messages before its ping were read (RFC 6455, 5.5.2 and 5.5.3): they are the application's.
# Seen:     an application closes with 1001. A message and a ping that were on their way meanwhile arrive before the
#           client's answer. With `--ws websockets-sansio` uvicorn answers the ping, and the application never gets the
#           message. `websockets` itself answers and delivers; uvicorn's other two and aiohttp drop it without a pong.
# Matters:  a client cannot learn from a pong behind a close frame what has arrived. One that takes it for a receipt
#           loses what was on its way when the server restarted, and never knows.
# Versions: uvicorn 0.54.0, websockets 17.4, wsproto 1.3.2, aiohttp 3.14.5; Python 3.11.7
#
# Printed on 2026-11-29:
#   after its own close frame:
#   uvicorn --ws websockets:        no pong, the message is dropped
#   uvicorn --ws websockets-sansio: a pong, the message is dropped
#   uvicorn --ws wsproto:           no pong, the message is dropped
#   websockets:                     a pong, the message is delivered
#   aiohttp:                        no pong, the message is dropped
. "$(dirname "$0")/tools.sh"
python_with uvicorn==0.54.0 websockets==17.4 wsproto==1.3.2 aiohttp==3.14.5

run_python <<'END'
import asyncio
from contextlib import AsyncExitStack

import uvicorn
from aiohttp import web
from websockets.asyncio.server import serve
from wire import PING, TEXT, close, compare, connect, frame, free_port, versions

versions("uvicorn", "websockets", "wsproto", "aiohttp")
got = []


async def application(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await receive()
    await send({"type": "websocket.close", "code": 1001})
    while (event := await receive())["type"] == "websocket.receive":
        got.append(event["text"])


async def with_uvicorn(implementation, stack):
    port = free_port()
    config = uvicorn.Config(application, port=port, ws=implementation, lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())

    async def stop():
        server.should_exit = True
        await task

    stack.push_async_callback(stop)
    while not server.started:
        await asyncio.sleep(0.01)
    return port


async def with_websockets(stack):
    async def handler(socket):
        await socket.recv()
        closing = asyncio.create_task(socket.close(1001))
        async for message in socket:
            got.append(message)
        await closing

    server = await stack.enter_async_context(serve(handler, "127.0.0.1", 0))
    return server.sockets[0].getsockname()[1]


async def with_aiohttp(stack):
    async def handler(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        await socket.close(code=1001)
        async for message in socket:
            got.append(message.data)
        return socket

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner.addresses[0][1]


async def outcome(start):
    got.clear()
    async with AsyncExitStack() as stack:
        _, peer = await connect(await start(stack))
        await peer.send(frame(TEXT, b"restart", masked=True))
        assert await peer.next() == "close 1001", peer.seen
        await peer.send(frame(TEXT, b"on its way", masked=True), frame(PING, b"?", masked=True))
        answer = await peer.next(1)
        await peer.send(close(1001, masked=True))
        await peer.rest(1)
        peer.writer.close()
        await asyncio.sleep(0.1)
    pong = "a pong" if answer.startswith("pong") else "no pong"
    return f"{pong}, the message is {'delivered' if got else 'dropped'}"


SERVERS = {
    "uvicorn --ws websockets": lambda stack: with_uvicorn("websockets", stack),
    "uvicorn --ws websockets-sansio": lambda stack: with_uvicorn("websockets-sansio", stack),
    "uvicorn --ws wsproto": lambda stack: with_uvicorn("wsproto", stack),
    "websockets": with_websockets,
    "aiohttp": with_aiohttp,
}
print("after its own close frame:")
seen = {name: asyncio.run(outcome(start)) for name, start in SERVERS.items()}
for name, what in seen.items():
    print(f"{name + ':':31} {what}")
compare(
    seen,
    {
        "uvicorn --ws websockets": "no pong, the message is dropped",
        "uvicorn --ws websockets-sansio": "a pong, the message is dropped",
        "uvicorn --ws wsproto": "no pong, the message is dropped",
        "websockets": "a pong, the message is delivered",
        "aiohttp": "no pong, the message is dropped",
    },
)
END
