#!/bin/sh
# curl-cffi-pings: curl_cffi answers a ping together with its next message only, while its program waits in recv().
#
# Expected: a client that waits for a message answers pings at once; a wait is what a heartbeat is made for.
# Seen:     the pong is written when the next data frame arrives. Of two pings before it, the second alone is answered,
#           which RFC 6455 allows. Before it there is silence, for as long as there are no messages.
# Matters:  a server with a heartbeat drops each quiet curl_cffi client, and keeps the busy ones: subscriptions to rare
#           events are the ones that break. A message of the application as a heartbeat keeps them.
# Versions: curl_cffi 0.17.0; Python 3.11.7
#
# Printed on 2026-11-29:
#   the server pings twice, the client waits in recv(), the server gets: silence
#   the server sends 'x', the server gets: pong b'two'
. "$(dirname "$0")/tools.sh"
python_with curl_cffi==0.17.0

run_python <<'END'
import asyncio

from curl_cffi.requests import Session
from wire import PING, TEXT, Server, compare, frame, versions

versions("curl_cffi")


async def script(peer):
    await peer.send(frame(PING, b"one"))
    await peer.send(frame(PING, b"two"))
    before = await peer.next(3)
    await peer.send(frame(TEXT, b"x"))
    return before, await peer.next()


def client(url):
    with Session() as session:
        socket = session.ws_connect(url)
        return socket.recv()[0]


async def main():
    async with Server(script) as server:
        assert await asyncio.to_thread(client, server.url) == b"x"
        return await server.done.get()


before, after = asyncio.run(main())
print("the server pings twice, the client waits in recv(), the server gets:", before)
print("the server sends 'x', the server gets:", after)
compare((before, after), ("silence", "pong b'two'"))
END
