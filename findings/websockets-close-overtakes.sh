#!/bin/sh
# websockets-close-overtakes: a client that sends and closes at once finds its messages unprocessed on `websockets`.
#
# Expected: messages that were sent before a clean close (1000) are processed before the end, as on aiohttp and tornado:
#           a close frame stands behind them.
# Seen:     the close frame is answered as soon as it arrives, while the handler still has messages to read. In the usual
#           `async for message in socket: await socket.send(...)` the first `send` raises, the loop ends, and the
#           second message, which has arrived, is never read. The client knows of a normal closure.
# Matters:  "report and quit" clients, a last order or a batch of logs, lose all but the first message on servers that
#           confirm each. Read on after ConnectionClosed: `recv()` still returns what waits.
# Versions: websockets 17.4, aiohttp 3.14.5; Python 3.11.7
#
# Printed on 2026-11-29:
#   the client sends 'one', 'two' and close 1000; both servers confirm each message
#   websockets: processed ['one'], then ConnectionClosedOK; still to be read: ['two']
#   aiohttp:    processed ['one', 'two']
. "$(dirname "$0")/tools.sh"
python_with websockets==17.4 aiohttp==3.14.5

run_python <<'END'
import asyncio

from aiohttp import web
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from wire import TEXT, close, compare, connect, frame, versions

versions("websockets", "aiohttp")


async def report_and_quit(port):
    _, peer = await connect(port)
    one, two = frame(TEXT, b"one", masked=True), frame(TEXT, b"two", masked=True)
    await peer.send(one, two, close(1000, masked=True))
    await peer.rest()
    peer.writer.close()


async def with_websockets():
    result = asyncio.get_running_loop().create_future()

    async def handler(socket):
        processed, left = [], []
        try:
            async for message in socket:
                processed.append(message)
                await socket.send("confirmed")
        except ConnectionClosed as error:
            end = type(error).__name__
            try:
                while True:
                    left.append(await socket.recv())
            except ConnectionClosed:
                pass
            result.set_result((processed, end, left))

    async with serve(handler, "127.0.0.1", 0) as server:
        await report_and_quit(server.sockets[0].getsockname()[1])
        return await asyncio.wait_for(result, 10)


async def with_aiohttp():
    result = asyncio.get_running_loop().create_future()

    async def handler(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        processed = []
        async for message in socket:
            processed.append(message.data)
            await socket.send_str("confirmed")
        result.set_result(processed)
        return socket

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await report_and_quit(runner.addresses[0][1])
    processed = await asyncio.wait_for(result, 10)
    await runner.cleanup()
    return processed


first, second = asyncio.run(with_websockets()), asyncio.run(with_aiohttp())
print("the client sends 'one', 'two' and close 1000; both servers confirm each message")
print(f"websockets: processed {first[0]}, then {first[1]}; still to be read: {first[2]}")
print("aiohttp:    processed", second)
compare((first, second), ((["one"], "ConnectionClosedOK", ["two"]), ["one", "two"]))
END
