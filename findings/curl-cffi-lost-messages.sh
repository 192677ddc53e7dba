#!/bin/sh
# curl-cffi-lost-messages: curl_cffi's asynchronous socket throws away what it has received when the connection breaks.
#
# Expected: messages that arrived before the connection broke come out of `recv()` first, then the error, as with the
#           same package's synchronous socket, and with every other client tried.
# Seen:     the messages were received and queued, yet the first `recv()` raises WebSocketClosed and both are lost.
#           After a close frame nothing is lost; only the program that reads a little late, and a broken line, meet it.
# Matters:  the last words before a crash are those that tell why: "server full", the last price, the error message.
# Versions: curl_cffi 0.17.0; Python 3.11.7
#
# Printed on 2026-11-29:
#   the server sends 'a' and 'b' and drops the connection
#   asynchronous: ['WebSocketClosed']
#   synchronous:  ['a', 'b', 'WebSocketClosed']
. "$(dirname "$0")/tools.sh"
python_with curl_cffi==0.17.0

run_python <<'END'
import asyncio

from curl_cffi.requests import AsyncSession, Session
from curl_cffi.requests.websockets import WebSocketClosed
from wire import TEXT, Server, compare, frame, versions

versions("curl_cffi")


async def script(peer):
    await peer.send(frame(TEXT, b"a"), frame(TEXT, b"b"))
    peer.writer.write_eof()
    await peer.rest()


async def asynchronous(url):
    got = []
    async with AsyncSession() as session:
        socket = await session.ws_connect(url)
        await asyncio.sleep(0.5)  # all has arrived, the end too
        try:
            while True:
                got.append((await socket.recv())[0].decode())
        except WebSocketClosed as error:
            got.append(type(error).__name__)
    return got


def synchronous(url):
    got = []
    with Session() as session:
        socket = session.ws_connect(url)
        try:
            while True:
                got.append(socket.recv()[0].decode())
        except WebSocketClosed as error:
            got.append(type(error).__name__)
    return got


async def main():
    async with Server(script) as server:
        return await asynchronous(server.url), await asyncio.to_thread(synchronous, server.url)


print("the server sends 'a' and 'b' and drops the connection")
first, second = asyncio.run(main())
print("asynchronous:", first)
print("synchronous: ", second)
compare((first, second), (["WebSocketClosed"], ["a", "b", "WebSocketClosed"]))
END
