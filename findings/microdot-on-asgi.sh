#!/bin/sh
# microdot-on-asgi: Microdot on hypercorn gets None for each text message, and on daphne opens no WebSocket.
#
# Expected: the class of Microdot for ASGI runs on each ASGI server alike.
# Seen:     hypercorn's event has both keys of the specification, `text` and a `bytes` that is None. receive() takes `bytes` if
#           the key is there, so it returns None for a text, and b"..." for a binary message. daphne leaves `http_version` out,
#           which the specification allows for a WebSocket: Microdot raises a KeyError, and the client is answered 500. uvicorn
#           and granian send what Microdot counts on.
# Matters:  an application that was tested on uvicorn has empty hands on another server.
# Versions: microdot 2.7.0, uvicorn 0.54.0 with websockets 17.4, granian 2.8.7, hypercorn 0.18.0, daphne 4.2.3; Python 3.11.7
#
# Printed on 2026-12-01:
#   uvicorn: the text 'hello' is 'hello', the bytes b'hello' are b'hello'
#   granian: the text 'hello' is 'hello', the bytes b'hello' are b'hello'
#   hypercorn: the text 'hello' is None, the bytes b'hello' are b'hello'
#   daphne: HTTP 500
. "$(dirname "$0")/tools.sh"
python_with microdot==2.7.0 uvicorn==0.54.0 websockets==17.4 granian==2.8.7 hypercorn==0.18.0 daphne==4.2.3

cat > application.py <<'END'
from microdot.asgi import Microdot, with_websocket

app = Microdot()


@app.route("/")
@with_websocket
async def tell(request, socket):
    while True:
        await socket.send(repr(await socket.receive()))
END

run_python <<'END'
import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from wire import compare, free_port, running, versions

versions("microdot", "uvicorn", "websockets", "granian", "hypercorn", "daphne")
COMMANDS = {
    "uvicorn": "uvicorn --log-level critical --port {} application:app",
    "granian": "granian --no-log --interface asgi --port {} application:app",
    "hypercorn": "hypercorn --bind 127.0.0.1:{} application:app",
    "daphne": "daphne --verbosity 0 --port {} application:app",
}


async def seen_by(command):
    """Return what a handler on this server got for a text, and for bytes."""
    port = free_port()
    with running(sys.executable, "-m", *command.format(port).split(), port=port):
        try:
            async with asyncio.timeout(10), connect(f"ws://127.0.0.1:{port}/") as client:
                await client.send("hello")
                text = await client.recv()
                await client.send(b"hello")
                return [text, await client.recv()]
        except InvalidStatus as error:
            return [error.response.status_code]


async def main():
    seen = {}
    for name, command in COMMANDS.items():
        seen[name] = await seen_by(command)
        line = "the text 'hello' is {}, the bytes b'hello' are {}" if len(seen[name]) == 2 else "HTTP {}"
        print(f"{name}: {line.format(*seen[name])}")
    return seen


plain = ["'hello'", "b'hello'"]
compare(asyncio.run(main()), {"uvicorn": plain, "granian": plain, "hypercorn": ["None", "b'hello'"], "daphne": [500]})
END
