#!/bin/sh
# websocket-client-close-is-empty: websocket-client's recv() returns "" for a close, exactly as for an empty message.
#
# Expected: `recv()` raises when the server has closed, as it does when the connection is lost, or tells the code.
# Seen:     at a close frame it returns an empty string, whatever the code and the reason; the exception comes at the
#           call after. An empty text message is the same empty string. `recv_data_frame()` tells them apart.
# Matters:  `json.loads(socket.recv())` raises a JSONDecodeError at each goodbye, and a loop that stops at "" stops at
#           an empty message.
# Versions: websocket-client 1.9.2; Python 3.11.7
#
# Printed on 2026-11-29:
#   the server sends an empty message, then close 4001 "no more credit"
#   recv(): ''
#   recv(): ''
#   recv(): WebSocketConnectionClosedException
. "$(dirname "$0")/tools.sh"
python_with websocket-client==1.9.2

run_python <<'END'
import asyncio

import websocket
from wire import TEXT, Server, close, compare, frame, versions

versions("websocket-client")


async def script(peer):
    await peer.send(frame(TEXT), close(4001, "no more credit"))
    await peer.next()


def client(url):
    socket = websocket.create_connection(url, timeout=10)
    seen = []
    for _ in range(3):
        try:
            seen.append(repr(socket.recv()))
        except websocket.WebSocketException as error:
            seen.append(type(error).__name__)
    return seen


async def main():
    async with Server(script) as server:
        return await asyncio.to_thread(client, server.url)


seen = asyncio.run(main())
print('the server sends an empty message, then close 4001 "no more credit"')
for line in seen:
    print("recv():", line)
compare(seen, ["''", "''", "WebSocketConnectionClosedException"])
END
