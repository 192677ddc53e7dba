#!/bin/sh
# daphne-stopped-soon: daphne that is stopped within a second after a WebSocket opened may never end, with FastAPI.
#
# Expected: at SIGTERM, daphne cancels the applications of its open WebSockets, and ends. It does so if the newest WebSocket
#           is a few seconds old.
# Seen:     until a second after a handshake, daphne's list has an entry without an application. Its cancelling stops there
#           with a KeyError, which it does not log. So no application is cancelled. If FastAPI has called a `def`
#           dependency, a thread of anyio waits for the end of such an application, and the process waits for the thread.
#           With an `async def` dependency the process ends. uvicorn 0.54.0 and granian 2.8.9 end with a `def` one, too.
# Matters:  a busy server has always opened a WebSocket in the last second. Each restart then waits until the supervisor
#           kills the process, and cleanup in the endpoints (`finally:`) does not run. Close the WebSockets before
#           daphne sees the signal, or make the dependencies `async def`.
# Versions: daphne 4.2.3, Twisted 26.10.0, fastapi 0.165.0, starlette 1.10.0, anyio 4.16.0; Python 3.11.7 and 3.13.0
#
# Printed on 2026-11-30:
#   def dependency, stopped at once:       runs on after 8 s, cleanup: no
#   def dependency, stopped after 3 s:     has ended, cleanup: yes
#   async def dependency, stopped at once: has ended, cleanup: no
. "$(dirname "$0")/tools.sh"
python_with daphne==4.2.3 Twisted==26.10.0 fastapi==0.165.0 starlette==1.10.0 anyio==4.16.0

cat > app.py <<'END'
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, WebSocket

app = FastAPI()


def user() -> str:
    return "ann"


async def async_user() -> str:
    return "ann"


async def echo(websocket):
    await websocket.accept()
    try:
        async for text in websocket.iter_text():
            await websocket.send_text(text)
    finally:
        Path("cleanup").touch()


@app.websocket("/def")
async def with_def(websocket: WebSocket, user: Annotated[str, Depends(user)]):
    await echo(websocket)


@app.websocket("/async-def")
async def with_async_def(websocket: WebSocket, user: Annotated[str, Depends(async_user)]):
    await echo(websocket)
END

run_python <<'END'
import asyncio
import subprocess
from pathlib import Path

from wire import TEXT, compare, connect, frame, free_port, running, versions

versions("daphne", "Twisted", "fastapi", "starlette", "anyio")
port = free_port()


async def stop(server, path, seconds):
    status, peer = await connect(port, path)
    assert " 101 " in status, status
    await peer.send(frame(TEXT, b"hi", masked=True))
    assert await peer.next() == "text b'hi'"
    await asyncio.sleep(seconds)
    server.terminate()
    try:
        await asyncio.to_thread(server.wait, 8)
    except subprocess.TimeoutExpired:
        return "runs on after 8 s"
    return "has ended"


cleanup = Path("cleanup")
seen = {}
for label, path, seconds in (
    ("def dependency, stopped at once", "/def", 0),
    ("def dependency, stopped after 3 s", "/def", 3),
    ("async def dependency, stopped at once", "/async-def", 0),
):
    cleanup.unlink(missing_ok=True)
    with running("daphne", "--bind", "127.0.0.1", "--port", str(port), "app:app", port=port) as server:
        ended = asyncio.run(stop(server, path, seconds))
        seen[label] = f"{ended}, cleanup: {'yes' if cleanup.exists() else 'no'}"
    print(f"{label + ':':38} {seen[label]}")
compare(list(seen.values()), ["runs on after 8 s, cleanup: no", "has ended, cleanup: yes", "has ended, cleanup: no"])
END
