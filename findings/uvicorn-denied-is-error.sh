#!/bin/sh
# uvicorn-denied-is-error: uvicorn logs an ERROR for each WebSocket that an application refuses with a response.
#
# Expected: a handshake that the application answers, with a denial response as ASGI describes it, is not an error. The
#           older `uvicorn --ws websockets` logs none.
# Seen:     the client gets the response, 403 with its body. With its default, `websockets-sansio`, uvicorn also logs
#           "ASGI callable returned without completing handshake.", as for an application that answered nothing. It does
#           so for an HTTPException of FastAPI, too.
# Matters:  each visitor without a valid token is an ERROR in the log, and a page to whoever watches it. If the
#           application returns a turn of the event loop later (`await asyncio.sleep(0)`), nothing is logged.
# Versions: uvicorn 0.54.0, websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-30:
#   websockets-sansio: HTTP/1.1 403 Forbidden, logged: ASGI callable returned without completing handshake.
#   websockets:        HTTP/1.1 403 Forbidden, logged: nothing
. "$(dirname "$0")/tools.sh"
python_with uvicorn==0.54.0 websockets==17.4

cat > app.py <<'END'
import logging
import sys

logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler(sys.stdout))


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"who are you?"})
END

run_python <<'END'
import asyncio

from wire import compare, connect, free_port, running, versions

versions("uvicorn", "websockets")
seen = {}
for protocol in ("websockets-sansio", "websockets"):
    port = free_port()
    command = ("uvicorn", "app:app", "--port", str(port), "--log-level", "error", "--ws", protocol)
    with running(*command, port=port) as server:
        status, _ = asyncio.run(connect(port))
        server.terminate()
        seen[protocol] = (status, server.stdout.read().strip() or "nothing")
    print(f"{protocol + ':':18} {seen[protocol][0]}, logged: {seen[protocol][1]}")
refused = "HTTP/1.1 403 Forbidden"
said = "ASGI callable returned without completing handshake."
compare(seen, {"websockets-sansio": (refused, said), "websockets": (refused, "nothing")})
END
