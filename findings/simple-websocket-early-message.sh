#!/bin/sh
# simple-websocket-early-message: a greeting that arrives together with the handshake waits for the next message.
#
# Expected: a server that sends a message as soon as it has accepted often has it in the same TCP segment as its 101;
#           RFC 6455 allows it (section 4.1, the connection is open), and a client delivers it at once.
# Seen:     simple-websocket reads it with the handshake and leaves it there: `receive()` does not return until the
#           server sends something else, be it a ping. Then both come. The same message 50 ms later arrives at once,
#           so it depends on how the network cuts.
# Matters:  a server that greets, and waits for an answer, waits as its client does. A test on loopback may show it
#           and the network in production hide it, or the other way round.
# Versions: simple-websocket 1.1.0 with wsproto 1.3.2; Python 3.11.7
#
# Printed on 2026-11-29:
#   the greeting came with the 101:   receive(timeout=3) -> None
#   then the server pings:            receive(timeout=3) -> 'hello'
. "$(dirname "$0")/tools.sh"
python_with simple-websocket==1.1.0 wsproto==1.3.2

run_python <<'END'
import asyncio

import simple_websocket
from wire import PING, TEXT, Server, compare, frame, versions

versions("simple-websocket", "wsproto")


async def main():
    go_on = asyncio.Event()

    async def script(peer):
        await go_on.wait()
        await peer.send(frame(PING))
        return await peer.next()

    async with Server(script, behind=frame(TEXT, b"hello")) as server:
        client = await asyncio.to_thread(simple_websocket.Client, server.url)
        first = await asyncio.to_thread(client.receive, timeout=3)
        print(f"the greeting came with the 101:   receive(timeout=3) -> {first!r}")
        go_on.set()
        second = await asyncio.to_thread(client.receive, timeout=3)
        print(f"then the server pings:            receive(timeout=3) -> {second!r}")
        client.close()
    return first, second


compare(asyncio.run(main()), (None, "hello"))
END
