#!/bin/sh
# daphne-close-codes: an application on daphne that closes with 1001 or 1008 closes with 1011.
#
# Expected: `websocket.close` with a code that a server may send (RFC 6455, section 7.4.1) closes with that code; uvicorn,
#           hypercorn and granian do.
# Seen:     1000 and 4001 arrive. 1001 and 1008 do not: the call fails, and the client gets 1011.
# Matters:  "the server goes" and "you broke a rule" look like a crash of the server, after which a client comes back.
# Versions: daphne 4.2.3, autobahn 26.10.2, Twisted 26.10.0; Python 3.11.7
#
# Printed on 2026-11-30:
#   websocket.close with 1000: close 1000
#   websocket.close with 1001: close 1011
#   websocket.close with 1008: close 1011
#   websocket.close with 1011: close 1011
#   websocket.close with 4001: close 4001
. "$(dirname "$0")/tools.sh"
python_with daphne==4.2.3 autobahn==26.10.2 Twisted==26.10.0

cat > app.py <<'END'
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        event = await receive()
        await send({"type": "websocket.close", "code": int(event["text"])})
END

run_python <<'END'
import asyncio

from wire import compare, connect, frame, free_port, running, versions

versions("daphne", "autobahn", "Twisted")
port = free_port()
seen = []


async def outcome(code):
    status, peer = await connect(port)
    assert " 101 " in status, status
    await peer.send(frame(1, str(code).encode(), masked=True))
    return await peer.next()


with running("daphne", "app:app", "--port", str(port), port=port):
    for code in (1000, 1001, 1008, 1011, 4001):
        seen.append(asyncio.run(outcome(code)))
        print(f"websocket.close with {code}: {seen[-1]}")
compare(seen, ["close 1000", *["close 1011"] * 3, "close 4001"])
END
