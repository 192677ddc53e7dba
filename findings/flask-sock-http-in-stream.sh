#!/bin/sh
# flask-sock-http-in-stream: flask-sock sends the page of an HTTP error into the WebSocket when a handler raises.
#
# Expected: a handler that raises closes its socket with 1011, or the connection ends.
# Seen:     Flask makes its page for error 500, and gunicorn writes it into the open WebSocket, beginning with "HTTP/1.1 500".
#           So does Werkzeug's own server. `abort(401)` is the same. gunicorn then leaves the connection open. Werkzeug's server
#           also writes "HTTP/1.1 200 OK" behind the close frame of each handler that returns.
# Matters:  "H" is read as the head of a frame with reserved bits, so the client reports that the server broke the protocol,
#           and closes with 1002. Who looks for a proxy or a faulty client finds nothing: the error is in the server's log.
#           Catch all that a handler may raise, and close with 1011: `ws.close(1011)`.
# Versions: flask-sock 0.7.0, simple-websocket 1.1.0, Flask 3.1.3, Werkzeug 3.1.9, gunicorn 27.0.1, websockets 17.4;
#           Python 3.11.7
#
# Printed on 2026-11-30:
#   gunicorn /returns: close 1000, end
#   gunicorn /raises: HTTP/1.1 500 INTERNAL SERVER ERROR
#   gunicorn /aborts: HTTP/1.1 401 UNAUTHORIZED
#   gunicorn /closes: close 1011, end
#   websockets says: sent 1002 (protocol error) reserved bits must be 0; no close frame received
#   Werkzeug /returns: close 1000, HTTP/1.1 200 OK
#   Werkzeug /raises: HTTP/1.1 500 INTERNAL SERVER ERROR
#   Werkzeug /aborts: HTTP/1.1 401 UNAUTHORIZED
#   Werkzeug /closes: close 1011, HTTP/1.1 200 OK
. "$(dirname "$0")/tools.sh"
python_with flask-sock==0.7.0 simple-websocket==1.1.0 Flask==3.1.3 Werkzeug==3.1.9 gunicorn==27.0.1 websockets==17.4

cat > app.py <<'END'
import sys

from flask import Flask, abort
from flask_sock import Sock

app = Flask(__name__)
sock = Sock(app)


@sock.route("/returns")
def returns(ws):
    ws.send("hello")


@sock.route("/raises")
def raises(ws):
    ws.send("hello")
    raise ValueError("a faulty handler")


@sock.route("/aborts")
def aborts(ws):
    ws.send("hello")
    abort(401)


@sock.route("/closes")
def closes(ws):
    ws.send("hello")
    try:
        raise ValueError("a faulty handler")
    except ValueError:
        ws.close(1011)


if __name__ == "__main__":
    app.run(port=int(sys.argv[1]))
END

run_python <<'END'
import asyncio
import sys

from websockets.asyncio.client import connect as connect_websockets
from websockets.exceptions import ConnectionClosed
from wire import CLOSE, compare, connect, free_port, running, versions

versions("flask-sock", "simple-websocket", "Flask", "Werkzeug", "gunicorn", "websockets")
PATHS = ("/returns", "/raises", "/aborts", "/closes")


async def behind_hello(port, path):
    """Return what comes behind the message "hello": a close frame, and the first line of anything that is not a frame."""
    _, peer = await connect(port, path)
    assert await peer.next() == "text b'hello'"
    lines = []
    first = await peer.reader.readexactly(1)
    if first[0] == CLOSE | 0x80:
        (size,) = await peer.reader.readexactly(1)
        lines.append(f"close {int.from_bytes((await peer.reader.readexactly(size))[:2], 'big')}")
        first = b""
    try:
        lines.append((first + await asyncio.wait_for(peer.reader.readline(), 10)).decode().strip() or "end")
    except TimeoutError:
        lines.append("silence")
    peer.writer.close()
    return ", ".join(lines)


async def told(port):
    """Return what websockets says of the handler that raises."""
    async with connect_websockets(f"ws://127.0.0.1:{port}/raises") as socket:
        await socket.recv()
        try:
            await socket.recv()
        except ConnectionClosed as error:
            return str(error)


async def main():
    seen = {}
    for name, command in {
        "gunicorn": ["gunicorn", "-b", "127.0.0.1:{}", "--threads", "8", "app:app"],
        "Werkzeug": [sys.executable, "app.py", "{}"],
    }.items():
        port = free_port()
        with running(*(part.format(port) for part in command), port=port):
            for path in PATHS:
                seen[f"{name} {path}"] = await behind_hello(port, path)
            if name == "gunicorn":
                seen["websockets says"] = await told(port)
    for name, line in seen.items():
        print(f"{name}: {line}")
    return list(seen.values())


pages = ["HTTP/1.1 500 INTERNAL SERVER ERROR", "HTTP/1.1 401 UNAUTHORIZED"]
compare(
    asyncio.run(main()),
    [
        *("close 1000, end", *pages, "close 1011, end"),
        "sent 1002 (protocol error) reserved bits must be 0; no close frame received",
        *("close 1000, HTTP/1.1 200 OK", *pages, "close 1011, HTTP/1.1 200 OK"),
    ],
)
END
