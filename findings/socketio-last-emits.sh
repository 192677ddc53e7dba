#!/bin/sh
# socketio-last-emits: what python-socketio's client emits just before it disconnects never leaves.
#
# Expected: `await client.emit(...)`, then `await client.disconnect()`: the events arrive, since both are awaited in this order,
#           and `disconnect()` closes a connection that works.
# Seen:     none of them arrives, and nothing raises. `emit()` puts the event into a queue, and `disconnect()` closes the
#           WebSocket before the task that empties the queue runs. One turn of the event loop between them, as
#           `asyncio.sleep(0)`, is enough for a few.
# Matters:  scripts that say one thing and leave, and the last words of a program that stops, are lost without a trace. Use
#           `await client.call(...)` for the last event: it waits until the server has answered.
# Versions: python-socketio 5.18.1, python-engineio 4.15.1, aiohttp 3.14.5, uvicorn 0.54.0 with websockets 17.4;
#           Python 3.11.7
#
# Printed on 2026-12-01:
#   AsyncClient, at once:             0 of 3 events arrive
#   AsyncClient, behind sleep(0):     3 of 3 events arrive
#   AsyncClient, the last one called: 3 of 3 events arrive
. "$(dirname "$0")/tools.sh"
python_with python-socketio==5.18.1 python-engineio==4.15.1 aiohttp==3.14.5 uvicorn==0.54.0 websockets==17.4

cat > server.py <<'END'
import sys

import socketio
import uvicorn

server = socketio.AsyncServer(async_mode="asgi")


@server.event
async def said(sid, text):
    print(text, flush=True)


uvicorn.run(socketio.ASGIApp(server), port=int(sys.argv[1]), log_level="critical")
END

run_python <<'END'
import asyncio
import sys
import time

import socketio
from wire import compare, free_port, running, versions

versions("python-socketio", "python-engineio", "aiohttp", "uvicorn", "websockets")


async def coroutines(url, name, before_leaving):
    client = socketio.AsyncClient(reconnection=False)
    await client.connect(url, transports=["websocket"])
    await asyncio.sleep(0.3)
    for _ in range(2):
        await client.emit("said", name)
    await before_leaving(client)
    await client.disconnect()


async def at_once(client):
    await client.emit("said", "at-once")


async def behind_sleep(client):
    await client.emit("said", "sleep")
    await asyncio.sleep(0)


async def called(client):
    await client.call("said", "called")


port = free_port()
with running(sys.executable, "server.py", str(port), port=port) as process:
    url = f"http://127.0.0.1:{port}"
    asyncio.run(coroutines(url, "at-once", at_once))
    asyncio.run(coroutines(url, "sleep", behind_sleep))
    asyncio.run(coroutines(url, "called", called))
    time.sleep(0.5)
arrived = process.stdout.read().split()
names = {
    "at-once": "AsyncClient, at once:",
    "sleep": "AsyncClient, behind sleep(0):",
    "called": "AsyncClient, the last one called:",
}
seen = {name: arrived.count(name) for name in names}
for name, title in names.items():
    print(f"{title:33} {seen[name]} of 3 events arrive")
compare(seen, {"at-once": 0, "sleep": 3, "called": 3})
END
