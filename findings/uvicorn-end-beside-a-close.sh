#!/bin/sh
# uvicorn-end-beside-a-close: a client that closes while much is on its way to it makes uvicorn's end at SIGTERM fail.
#
# Expected: at SIGTERM, uvicorn closes each WebSocket with 1012, and sends the application `lifespan.shutdown`. A client
#           that has sent its close frame needs nothing more.
# Seen:     a client with much left to read has sent its close frame, so its connection closes, but is still there. uvicorn
#           makes a close frame for it, for which websockets raises InvalidState. That ends uvicorn's own shutdown: other
#           clients see the connection end without a close frame, `lifespan.shutdown` is not sent, and the exit code is 1.
# Matters:  at any restart, one client that leaves on a slow line is enough. Close the WebSockets before uvicorn hears of
#           the signal, as `rxws.asgi.setup` does, and have nothing depend on `lifespan.shutdown`.
# Versions: uvicorn 0.54.0, websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-30:
#   nobody closes:        30 idle clients see close 1012, exit code -15, lifespan.shutdown: yes
#   a slow client closes: 30 idle clients see close 1012 or end, exit code 1, lifespan.shutdown: no
. "$(dirname "$0")/tools.sh"
python_with uvicorn==0.54.0 websockets==17.4

cat > app.py <<'END'
from pathlib import Path


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        Path("shutdown").touch()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await receive()
    await send({"type": "websocket.accept"})
    try:
        for _ in range(512 if scope["path"] == "/much" else 0):
            await send({"type": "websocket.send", "bytes": bytes(2**16)})
        while (await receive())["type"] == "websocket.receive":
            pass
    except OSError:  # the client has left
        pass
END

run_python <<'END'
import asyncio
import subprocess
from pathlib import Path

from wire import close, compare, connect, free_port, running, versions

versions("uvicorn", "websockets")


async def stopped(server, port, slow_one):
    """Tell what an idle client sees when the server is stopped, and how that ends."""
    if slow_one:
        _, slow = await connect(port, "/much")
        await asyncio.sleep(1)
        await slow.send(close(1000, masked=True))
        await asyncio.sleep(0.5)
    idle = [(await connect(port, "/idle"))[1] for _ in range(30)]
    server.terminate()
    seen = [await peer.next() for peer in idle]
    try:
        await asyncio.to_thread(server.wait, 10)
    except subprocess.TimeoutExpired:
        return seen, None
    return seen, server.returncode


def run(slow_one):
    Path("shutdown").unlink(missing_ok=True)
    port = free_port()
    command = "venv/bin/python", "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning"
    with running(*command, port=port) as server:
        seen, code = asyncio.run(stopped(server, port, slow_one))
    return set(seen), code, Path("shutdown").exists()


seen = [run(False), run(True)]
for who, (ends, code, told) in zip(("nobody closes:       ", "a slow client closes:"), seen, strict=True):
    ends = " or ".join(sorted(ends))
    print(f"{who} 30 idle clients see {ends}, exit code {code}, lifespan.shutdown: {'yes' if told else 'no'}")
compare(seen, [({"close 1012"}, -15, True), ({"close 1012", "end"}, 1, False)])
END
