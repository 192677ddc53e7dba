#!/bin/sh
# httpx-ws-unasked-pong: a pong that nobody asked for ends an httpx-ws connection with an ExceptionGroup.
#
# Expected: a peer may send pongs of its own as a heartbeat in one direction, and no answer is expected (RFC 6455,
#           section 5.5.3). A client ignores them.
# Seen:     the task that reads dies of a KeyError, and the block `async with aconnect_ws(...)` ends with an
#           ExceptionGroup: nothing that names a WebSocket, or the pong.
# Matters:  a server that keeps connections open by unasked pongs loses every client that uses httpx-ws, and
#           `except WebSocketDisconnect` does not catch it.
# Versions: httpx-ws 0.9.0, httpx 0.28.1, wsproto 1.3.2; Python 3.11.7
#
# Printed on 2026-11-29:
#   the server sends: pong 'beat', then 'x'
#   the program sees: ExceptionGroup of KeyError
. "$(dirname "$0")/tools.sh"
python_with httpx-ws==0.9.0 httpx==0.28.1 wsproto==1.3.2

run_python <<'END'
import asyncio

import httpx
from httpx_ws import aconnect_ws
from wire import PONG, TEXT, Server, compare, frame, versions

versions("httpx-ws", "httpx", "wsproto")


async def script(peer):
    await peer.send(frame(PONG, b"beat"), frame(TEXT, b"x"))
    await peer.rest()


async def main():
    async with Server(script) as server, httpx.AsyncClient() as client:
        try:
            async with aconnect_ws(server.url, client) as socket:
                return repr(await socket.receive_text(timeout=5))
        except BaseException as error:
            inner = error
            while isinstance(inner, BaseExceptionGroup):
                inner = inner.exceptions[0]
            return f"{type(error).__name__} of {type(inner).__name__}"


seen = asyncio.run(main())
print("the server sends: pong 'beat', then 'x'")
print("the program sees:", seen)
compare(seen, "ExceptionGroup of KeyError")
END
