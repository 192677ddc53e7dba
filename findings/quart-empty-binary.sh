#!/bin/sh
# quart-empty-binary: an empty binary message is None to a Quart handler on hypercorn, and on uvicorn it ends the handler.
#
# Expected: `await websocket.receive()` returns what the client sent: "" for an empty text message, and so b"" for an empty
#           binary one, on each ASGI server.
# Seen:     "" arrives. b"" is None on hypercorn. On uvicorn it ends the connection without a close frame: the handler is
#           cancelled, and the log has a KeyError: 'text' of Quart's. Quart takes `bytes` or else `text` of the ASGI event; an
#           empty `bytes` counts as none, and uvicorn, as ASGI allows, has no `text` beside it.
# Matters:  a client that sends empty messages as a sign of life, or an empty chunk at the end of a file, is cut off on one
#           server, and on the other the handler meets a None that its types exclude. Have clients send
#           a byte.
# Versions: quart 0.22.0 (0.23.1 is the same), hypercorn 0.18.0, uvicorn 0.54.0 with websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-30:
#   text 'a', text '', binary 'b', binary ''
#   hypercorn: text b"'a'", text b"''", text b"b'b'", text b'None'
#   uvicorn: text b"'a'", text b"''", text b"b'b'", end
. "$(dirname "$0")/tools.sh"
python_with quart==0.22.0 hypercorn==0.18.0 uvicorn==0.54.0 websockets==17.4

cat > app.py <<'END'
from quart import Quart, websocket

app = Quart(__name__)


@app.websocket("/")
async def describe():
    while True:
        await websocket.send(repr(await websocket.receive()))
END

run_python <<'END'
import asyncio

from wire import BINARY, TEXT, compare, connect, frame, free_port, running, versions

versions("quart", "hypercorn", "uvicorn", "websockets")


async def ask(port):
    """Return what the handler says that it got, for each of four messages."""
    _, peer = await connect(port)
    for opcode, message in [(TEXT, b"a"), (TEXT, b""), (BINARY, b"b"), (BINARY, b"")]:
        await peer.send(frame(opcode, message, masked=True))
        await peer.next()
    peer.writer.close()
    return peer.seen


seen = {}
for server, options in {"hypercorn": "app:app -b 127.0.0.1:{}", "uvicorn": "app:app --port {}"}.items():
    port = free_port()
    with running(server, *options.format(port).split(), port=port):
        seen[server] = asyncio.run(ask(port))
print("text 'a', text '', binary 'b', binary ''")
for server, lines in seen.items():
    print(f"{server}: {', '.join(lines)}")
three = ["text b\"'a'\"", "text b\"''\"", "text b\"b'b'\""]
compare(seen, {"hypercorn": [*three, "text b'None'"], "uvicorn": [*three, "end"]})
END
