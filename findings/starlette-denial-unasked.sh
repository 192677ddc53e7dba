#!/bin/sh
# starlette-denial-unasked: FastAPI's answer to a refused WebSocket never comes on daphne, and the client waits.
#
# Expected: a dependency of FastAPI that raises `HTTPException(401)` before the handshake answers it with 401, or where the
#           server cannot send that, with 403. A denial response is an extension (ASGI, "WebSocket Denial Response"): an
#           application may send one if the scope names the extension, and else closes, which is a 403.
# Seen:     Starlette sends the denial response without a look at the scope. uvicorn answers 401. daphne does not name the
#           extension and drops the events, so the client gets nothing, and is disconnected after 5 s.
#           `WebSocketException` is a close, and answered with 403 on both.
# Matters:  a client with an expired token sees a server that hangs, and comes back with the same token.
# Versions: fastapi 0.165.0, starlette 1.10.0, uvicorn 0.54.0 with websockets 17.4, daphne 4.2.3; Python 3.11.7
#
# Printed on 2026-11-30:
#   uvicorn, HTTPException: HTTP/1.1 401 Unauthorized
#   uvicorn, WebSocketException: HTTP/1.1 403 Forbidden
#   daphne, HTTPException: nothing in 3 s
#   daphne, WebSocketException: HTTP/1.1 403 Access denied
. "$(dirname "$0")/tools.sh"
python_with fastapi==0.165.0 starlette==1.10.0 uvicorn==0.54.0 websockets==17.4 daphne==4.2.3 autobahn==26.10.2

cat > app.py <<'END'
from fastapi import Depends, FastAPI, HTTPException, WebSocket, WebSocketException

app = FastAPI()


async def user(how: str):
    raise HTTPException(401, "who are you?") if how == "HTTPException" else WebSocketException(1008)


@app.websocket("/")
async def chat(websocket: WebSocket, user: str = Depends(user)):
    await websocket.accept()
END

run_python <<'END'
import asyncio

from wire import KEY, compare, free_port, running, versions

versions("fastapi", "starlette", "uvicorn", "websockets", "daphne")
SERVERS = {
    "uvicorn": lambda port: ("uvicorn", "app:app", "--port", str(port), "--log-level", "critical"),
    "daphne": lambda port: ("daphne", "--port", str(port), "app:app"),
}
seen = []


async def answer(port, how):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET /?how={how} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    try:
        async with asyncio.timeout(3):
            return (await reader.readline()).decode().strip()
    except TimeoutError:
        return "nothing in 3 s"
    finally:
        writer.close()


for name, command in SERVERS.items():
    port = free_port()
    with running(*command(port), port=port):
        for how in ("HTTPException", "WebSocketException"):
            seen.append(asyncio.run(answer(port, how)))
            print(f"{name}, {how}: {seen[-1]}")
compare(
    seen,
    ["HTTP/1.1 401 Unauthorized", "HTTP/1.1 403 Forbidden", "nothing in 3 s", "HTTP/1.1 403 Access denied"],
)
END
