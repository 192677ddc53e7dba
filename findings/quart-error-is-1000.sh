#!/bin/sh
# quart-error-is-1000: Quart closes with 1000, a normal closure, when a handler raises after its first message.
#
# Expected: the client sees 1011, or a connection that breaks, as with plain ASGI applications on the same servers: something
#           went wrong.
# Seen:     Quart logs the exception and sends the close frame of a handler that has returned, with 1000. `abort(401)` is
#           the same. Only before the socket is accepted does the client get the 500 or the 401.
# Matters:  reconnecting clients take 1000 as "done" and stay away, so one bad message ends a feed silently. Catch
#           exceptions in the handler, and close with `websocket.close(1011)`.
# Versions: quart 0.22.0, hypercorn 0.18.0, uvicorn 0.54.0 with websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-30:
#   hypercorn /returns: HTTP/1.1 101, text b'hello', close 1000
#   hypercorn /raises: HTTP/1.1 101, text b'hello', close 1000
#   hypercorn /aborts: HTTP/1.1 101, text b'hello', close 1000
#   hypercorn /raises-early: HTTP/1.1 500
#   uvicorn: the same
. "$(dirname "$0")/tools.sh"
python_with quart==0.22.0 hypercorn==0.18.0 uvicorn==0.54.0 websockets==17.4

cat > app.py <<'END'
from quart import Quart, abort, websocket

app = Quart(__name__)


@app.websocket("/returns")
async def returns():
    await websocket.send("hello")


@app.websocket("/raises")
async def raises():
    await websocket.send("hello")
    raise ValueError("a faulty handler")


@app.websocket("/aborts")
async def aborts():
    await websocket.send("hello")
    abort(401)


@app.websocket("/raises-early")
async def raises_early():
    raise ValueError("a faulty handler")
END

run_python <<'END'
import asyncio

from wire import compare, connect, free_port, running, versions

versions("quart", "hypercorn", "uvicorn", "websockets")
PATHS = ("/returns", "/raises", "/aborts", "/raises-early")


async def ask(port):
    """Tell for each path the status line, without its text, and the frames up to the close frame."""
    answers = {}
    for path in PATHS:
        status, peer = await connect(port, path)
        status = " ".join(status.split()[:2])
        frames = [await peer.next(), await peer.next()] if "101" in status else []
        answers[path] = ", ".join([status, *frames])
        peer.writer.close()
    return answers


seen = {}
for server, options in {"hypercorn": "app:app -b 127.0.0.1:{}", "uvicorn": "app:app --port {}"}.items():
    port = free_port()
    with running(server, *options.format(port).split(), port=port):
        seen[server] = asyncio.run(ask(port))
for path, answer in seen["hypercorn"].items():
    print(f"hypercorn {path}: {answer}")
print("uvicorn:", "the same" if seen["uvicorn"] == seen["hypercorn"] else seen["uvicorn"])
closed = "HTTP/1.1 101, text b'hello', close 1000"
recorded = {"/returns": closed, "/raises": closed, "/aborts": closed, "/raises-early": "HTTP/1.1 500"}
compare(seen, {"hypercorn": recorded, "uvicorn": recorded})
END
