#!/bin/sh
# aiosonic-pings: aiosonic answers no ping and no close frame, and forgets the code of the server's close.
#
# Expected: a client answers a ping with a pong, and a close frame with a close frame, by itself (RFC 6455, sections
#           5.5.1 and 5.5.2), and its program can read the code.
# Seen:     the ping is dropped in silence; after a close with 4001 the next `receive_text()` raises
#           ConnectionDisconnected, `close_code` is None, and nothing is sent.
# Matters:  every server with a heartbeat drops this client after its timeout, healthy as it is, and a code such as
#           "do not come back" never reaches the program. The client's own `ping` and keep-alive do not help: servers
#           count pongs.
# Versions: aiosonic 1.3.3; Python 3.11.7
#
# Printed on 2026-11-29:
#   the server sends a ping and 'a', the client answers the message with 'b'
#   the server gets: ["text b'b'"]
#   the server closes with 4001: ConnectionDisconnected, close_code None
#   the server gets: silence
. "$(dirname "$0")/tools.sh"
python_with aiosonic==1.3.3

run_python <<'END'
import asyncio

from aiosonic import WebSocketClient
from aiosonic.exceptions import ConnectionDisconnected
from wire import PING, TEXT, Server, close, compare, frame, versions

versions("aiosonic")


async def script(peer):
    await peer.send(frame(PING, b"are you there"), frame(TEXT, b"a"))
    answers = [await peer.next()]
    while answers[-1] != "text b'b'":
        answers.append(await peer.next())
    answers = [line for line in answers if not line.startswith("ping")]  # its own keep-alive
    await peer.send(close(4001, "do not come back"))
    return answers, await peer.next(3)


async def main():
    async with Server(script) as server, WebSocketClient() as client:
        socket = await client.connect(server.url)
        assert await socket.receive_text(timeout=5) == "a"
        await socket.send_text("b")
        try:
            await socket.receive_text(timeout=5)
        except ConnectionDisconnected as error:
            end = type(error).__name__, socket.close_code
        answers, answer = await server.done.get()
    return answers, end, answer


answers, end, answer = asyncio.run(main())
print("the server sends a ping and 'a', the client answers the message with 'b'")
print("the server gets:", answers)
print(f"the server closes with 4001: {end[0]}, close_code {end[1]}")
print("the server gets:", answer)
compare((answers, end, answer), (["text b'b'"], ("ConnectionDisconnected", None), "silence"))
END
