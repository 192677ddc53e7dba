#!/bin/sh
# close-code-zero: picows and niquests close with the code 0, which strict servers report as a protocol error.
#
# Expected: `close()` without arguments sends 1000, or an empty close frame, as all other clients tried do.
# Seen:     picows' `send_close()` and niquests' `extension.close()` send the code 0. RFC 6455 (section 7.4.2) says
#           that 0 to 999 are not used. A server on `websockets` fails the connection with 1002,
#           and its handler gets an error instead of an end.
# Matters:  every ordinary goodbye of these clients counts as a broken client in the server's statistics. Give a code:
#           `send_close(WSCloseCode.OK)`.
# Versions: picows 2.3.1, niquests 3.21.2, urllib3-future 2.25.904, wsproto 1.3.2,
#           websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-29:
#   picows sends: close 0
#   niquests sends: close 0
#   a server on websockets sees: ConnectionClosedError: sent 1002 (protocol error) invalid status code
. "$(dirname "$0")/tools.sh"
python_with picows==2.3.1 niquests==3.21.2 urllib3-future==2.25.904 wsproto==1.3.2 websockets==17.4

run_python <<'END'
import asyncio
import logging

import niquests
import picows
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from wire import Server, compare, versions

versions("picows", "niquests", "websockets", "wsproto")
logging.disable(logging.CRITICAL)


async def with_picows(url):
    transport, _ = await picows.ws_connect(picows.WSListener, url)
    transport.send_close()
    transport.disconnect()
    await transport.wait_disconnected()


def with_niquests(url):
    with niquests.Session() as session:
        session.get(url).extension.close()


async def script(peer):
    return await peer.next()


async def main():
    seen = []
    async with Server(script) as server:
        await with_picows(server.url)
        seen.append(await server.done.get())
        await asyncio.to_thread(with_niquests, server.url)
        seen.append(await server.done.get())

    strict = asyncio.Queue()

    async def handler(socket):
        try:
            await socket.recv()
        except ConnectionClosed as error:
            strict.put_nowait(f"{type(error).__name__}: {str(error).split(';')[0]}")

    async with serve(handler, "127.0.0.1", 0) as server:
        await with_picows(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        seen.append(await asyncio.wait_for(strict.get(), 10))
    return seen


seen = asyncio.run(main())
print("picows sends:", seen[0])
print("niquests sends:", seen[1])
print("a server on websockets sees:", seen[2])
compare(seen, ["close 0", "close 0", "ConnectionClosedError: sent 1002 (protocol error) invalid status code"])
END
