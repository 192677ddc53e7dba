#!/bin/sh
# starlette-testclient-cancels: Starlette's TestClient cancels the endpoint when its block ends, also what it does at a close.
#
# Expected: leaving `with client.websocket_connect(path) as socket:` is a client that leaves: it closes with 1000, and the
#           endpoint finishes as on a server. It handles the message that it works on, gets WebSocketDisconnect, and may
#           await what it does then: save, or tell the others.
# Seen:     after the close, the endpoint's task is cancelled. Each `await` in it raises CancelledError from then on, also
#           those in `except WebSocketDisconnect` and in `finally`. The block ends without an error.
# Matters:  a test finds that nothing was saved, though it is on a server, or passes while a faulty cleanup never ran. Call
#           `socket.close()` within the block, and wait there for what the endpoint is to do.
# Versions: starlette 1.10.0, httpx2 2.16.2, anyio 4.16.0, uvicorn 0.54.0 with websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-30:
#   uvicorn: stored 'hello', left 1000, saved
#   TestClient: store cancelled
#   TestClient, after an answer: stored 'hello', left 1000, save cancelled
#   TestClient, close() and a wait within the block: stored 'hello', left 1000, saved
. "$(dirname "$0")/tools.sh"
python_with starlette==1.10.0 httpx2==2.16.2 anyio==4.16.0 uvicorn==0.54.0 websockets==17.4

run_python <<'END'
import asyncio
import time

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from websockets.asyncio.client import connect
from wire import compare, free_port, versions

versions("starlette", "httpx2", "anyio", "uvicorn", "websockets")
events = []


async def work(name, done):
    """What a database would take its time for."""
    try:
        await asyncio.sleep(0.05)
    except asyncio.CancelledError:
        events.append(f"{name} cancelled")
        raise
    events.append(done)


async def chat(socket):
    await socket.accept()
    try:
        while True:
            message = await socket.receive_text()
            await work("store", f"stored {message!r}")
            await socket.send_text("stored")
    except WebSocketDisconnect as error:
        events.append(f"left {error.code}")
        await work("save", "saved")


app = Starlette(routes=[WebSocketRoute("/", chat)])


def settled():
    """Wait until the endpoint has come to its end, at most for half a second."""
    for _ in range(50):
        if "saved" not in events:
            time.sleep(0.01)
    return ", ".join(events)


async def on_uvicorn():
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
    async with connect(f"ws://127.0.0.1:{port}/") as socket:
        await socket.send("hello")
        await socket.recv()
    seen = await asyncio.to_thread(settled)
    server.should_exit = True
    await serving
    return seen


def in_test(*, answered=True, waits=False):
    events.clear()
    with TestClient(app) as client:
        with client.websocket_connect("/") as socket:
            socket.send_text("hello")
            if answered:
                socket.receive_text()
            if waits:
                socket.close()
                settled()
        return settled()


seen = {
    "uvicorn": asyncio.run(on_uvicorn()),
    "TestClient": in_test(answered=False),
    "TestClient, after an answer": in_test(),
    "TestClient, close() and a wait within the block": in_test(waits=True),
}
for name, line in seen.items():
    print(f"{name}: {line}")
served = "stored 'hello', left 1000, saved"
compare(list(seen.values()), [served, "store cancelled", "stored 'hello', left 1000, save cancelled", served])
END
