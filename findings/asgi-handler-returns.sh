#!/bin/sh
# asgi-handler-returns: four ASGI servers end the socket of a handler that returns in four ways, daphne not at all.
#
# Expected: the servers agree, and end the socket of a handler that returned without an error with 1000.
# Seen:     uvicorn drops the connection without a close frame, so the client reports 1006, a lost connection;
#           hypercorn sends 1011, an error of the server; granian sends an empty close frame, which is 1005;
#           daphne does nothing at all: the socket stays open, and nobody is behind it.
# Matters:  a client that comes back after 1006 and 1011 does so forever against the first two, and one on daphne
#           waits for a server that left. Close the socket yourself before a handler returns.
# Versions: uvicorn 0.54.0 with websockets 17.4, hypercorn 0.18.0, granian 2.8.7, daphne 4.2.3; Python 3.11.7
#
# Printed on 2026-11-29:
#   uvicorn:   end
#   hypercorn: close 1011, then end
#   granian:   close without a code, then end
#   daphne:    silence
. "$(dirname "$0")/tools.sh"
python_with uvicorn==0.54.0 websockets==17.4 hypercorn==0.18.0 granian==2.8.7 daphne==4.2.3 autobahn==26.10.2

cat > app.py <<'END'
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
END

run_python <<'END'
import asyncio

from wire import close, compare, connect, free_port, running, versions

versions("uvicorn", "websockets", "hypercorn", "granian", "daphne", "autobahn")
SERVERS = {
    "uvicorn": lambda port: ("uvicorn", "app:app", "--port", str(port)),
    "hypercorn": lambda port: ("hypercorn", "app:app", "--bind", f"127.0.0.1:{port}"),
    "granian": lambda port: ("granian", "--interface", "asgi", "app:app", "--port", str(port)),
    "daphne": lambda port: ("daphne", "--port", str(port), "app:app"),
}


async def outcome(port):
    status, peer = await connect(port)
    assert " 101 " in status, status
    lines = [await peer.next(3)]
    if lines[0].startswith("close"):
        await peer.send(close(1000, masked=True))
        lines += await peer.rest(3)
    return ", then ".join(lines)


seen = {}
for name, command in SERVERS.items():
    port = free_port()
    with running(*command(port), port=port):
        seen[name] = asyncio.run(outcome(port))
    print(f"{name + ':':10} {seen[name]}")
compare(
    seen,
    {
        "uvicorn": "end",
        "hypercorn": "close 1011, then end",
        "granian": "close without a code, then end",
        "daphne": "silence",
    },
)
END
