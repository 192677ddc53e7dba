#!/bin/sh
# close-cancels-handler: a client's close frame cancels the handler in Sanic and Quart, with messages unread and one half done.
#
# Expected: a client that sends three messages and closes with 1000 is served in order: the handler gets all three, and learns
#           of the close behind them. With Starlette on uvicorn, it does.
# Seen:     as soon as the close frame is there, Sanic and Quart cancel the handler's task. The message that the handler works
#           on is not finished, and the others, which came before the close, never reach it. Sanic's `async for` does not end,
#           and its ConnectionClosed is not raised. The client's close is answered with 1000, and the logs have nothing.
# Matters:  what a client sends last is lost, and the answer to its close looks as if all had been taken. A client must wait
#           for answers before it closes. A handler can protect the message that it works on with `asyncio.shield`.
# Versions: sanic 25.12.1, quart 0.22.0 (0.23.1 is the same), starlette 1.10.0, uvicorn 0.54.0, websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-30:
#   a client sends a; when the handler stores it, b, c and a close with 1000
#   Starlette on uvicorn: storing a, stored a, storing b, stored b, storing c, stored c, close 1000; the client got close 1000, end
#   Sanic: storing a, CancelledError; the client got close 1000, end
#   Quart on uvicorn: storing a, CancelledError; the client got close 1000, end
. "$(dirname "$0")/tools.sh"
python_with sanic==25.12.1 quart==0.22.0 starlette==1.10.0 uvicorn==0.54.0 websockets==17.4

cat > server.py <<'END'
import asyncio
import sys

import uvicorn
from quart import Quart, websocket
from sanic import Sanic
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect

on_sanic, on_quart = Sanic("finding"), Quart(__name__)


def say(line):
    print(f"> {line}", flush=True)


async def store(receive):
    """Store each message, which takes as long as a database would."""
    try:
        while True:
            message = await receive()
            say(f"storing {message}")
            await asyncio.sleep(0.3)
            say(f"stored {message}")
    except WebSocketDisconnect as error:
        say(f"close {error.code}")
    except BaseException as error:
        say(type(error).__name__)
        raise


@on_sanic.websocket("/")
async def sanic_handler(request, socket):
    await store(socket.recv)


@on_quart.websocket("/")
async def quart_handler():
    await store(websocket.receive)


async def starlette_handler(socket):
    await socket.accept()
    await store(socket.receive_text)


if __name__ == "__main__":
    name, port = sys.argv[1], int(sys.argv[2])
    if name == "Sanic":
        on_sanic.run(host="127.0.0.1", port=port, single_process=True, access_log=False, motd=False)
    on_starlette = Starlette(routes=[WebSocketRoute("/", starlette_handler)])
    uvicorn.run(on_quart if "Quart" in name else on_starlette, port=port, log_level="critical")
END

run_python <<'END'
import asyncio
import sys

from wire import TEXT, close, compare, connect, frame, free_port, running, versions

versions("sanic", "quart", "starlette", "uvicorn", "websockets")


async def seen_by(name):
    """Return what the handler did."""
    port = free_port()
    with running(sys.executable, "server.py", name, str(port), port=port) as process:
        lines = (line[2:].strip() for line in process.stdout if line.startswith("> "))
        _, peer = await connect(port)
        await peer.send(frame(TEXT, b"a", masked=True))
        seen = [await asyncio.to_thread(next, lines)]
        rest = [frame(TEXT, message, masked=True) for message in (b"b", b"c")]
        await peer.send(*rest, close(1000, masked=True))
        while seen[-1] not in ("CancelledError", "close 1000"):
            seen.append(await asyncio.to_thread(next, lines))
        seen += await peer.rest()
    return seen


async def main():
    print("a client sends a; when the handler stores it, b, c and a close with 1000")
    seen = {}
    for name in ("Starlette on uvicorn", "Sanic", "Quart on uvicorn"):
        seen[name] = await seen_by(name)
        print(f"{name}: {', '.join(seen[name][:-2])}; the client got {', '.join(seen[name][-2:])}")
    return seen


cancelled = ["storing a", "CancelledError", "close 1000", "end"]
stored = [f"{what} {message}" for message in "abc" for what in ("storing", "stored")]
compare(
    asyncio.run(main()),
    {
        "Starlette on uvicorn": [*stored, "close 1000", "close 1000", "end"],
        "Sanic": cancelled,
        "Quart on uvicorn": cancelled,
    },
)
END
