#!/bin/sh
# autobahn-overlapping-messages: with Autobahn on asyncio, coroutines for messages overlap, and outlive the connection.
#
# Expected: `async def onMessage` runs for one message after the other, as a loop over a socket does, and `onClose` comes
#           when it is done with the last one.
# Seen:     each message starts a coroutine of its own, whatever the others wait for: the second and third are done before
#           the first. Nothing bounds how many run, nothing slows the sender, and `onClose` does not wait for them.
# Matters:  a handler that awaits a database changes the order of what a client sent, and a client that sends faster than
#           that has as many coroutines as messages.
# Versions: autobahn 26.10.2, websockets 17.4; Python 3.11.7
#
# Printed on 2026-12-01:
#   begins 1, begins 2, begins 3, ends 2, ends 3, closed 1000, ends 1
. "$(dirname "$0")/tools.sh"
python_with autobahn==26.10.2 websockets==17.4

run_python <<'END'
import asyncio

import websockets
from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol
from wire import compare, versions

versions("autobahn", "websockets")
seen = []
done = asyncio.Event()


class Client(WebSocketClientProtocol):
    async def onMessage(self, payload, isBinary):
        number = payload.decode()
        seen.append(f"begins {number}")
        await asyncio.sleep(1 if number == "1" else 0.05)
        seen.append(f"ends {number}")
        if number == "1":
            done.set()

    def onClose(self, wasClean, code, reason):
        seen.append(f"closed {code}")


async def send(socket):
    for number in "123":
        await socket.send(number)
    await asyncio.sleep(0.3)


async def main():
    async with websockets.serve(send, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        factory = WebSocketClientFactory(f"ws://127.0.0.1:{port}")
        factory.protocol = Client
        await asyncio.get_running_loop().create_connection(factory, "127.0.0.1", port)
        await asyncio.wait_for(done.wait(), 10)


asyncio.run(main())
print(", ".join(seen))
compare(seen, ["begins 1", "begins 2", "begins 3", "ends 2", "ends 3", "closed 1000", "ends 1"])
END
