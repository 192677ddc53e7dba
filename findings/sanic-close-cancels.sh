#!/bin/sh
# sanic-close-cancels: a client's close frame cancels the handler in Sanic, with messages unread and one half done.
#
# Expected: a client that sends three messages and closes with 1000 is served as in order: the handler gets the three, and
#           then `async for message in socket` ends, or `recv()` raises. So it is on uvicorn.
# Seen:     as soon as the close frame is there, Sanic answers it and cancels the handler's task. The message that the
#           handler works on is not finished, and the other two never reach it. `async for` does not end, and
#           `ConnectionClosed` is not raised. The log has nothing.
# Matters:  what a client sends last is lost, and the answer to its close looks as if all had been taken. A client must wait
#           for answers before it closes. A handler can protect the message that it works on with `asyncio.shield`.
# Versions: sanic 25.12.1, starlette 1.10.0 on uvicorn 0.54.0, websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-30:
#   a client sends a, b, c and a close with 1000
#   uvicorn: the client got close 1000, end; the handler: stored a, stored b, stored c, the loop ended
#   Sanic: the client got close 1000, end; the handler: cancelled while storing a
. "$(dirname "$0")/tools.sh"
python_with sanic==25.12.1 starlette==1.10.0 uvicorn==0.54.0 websockets==17.4

cat > on_sanic.py <<'END'
import asyncio
import sys

from sanic import Sanic

app = Sanic("finding")


@app.websocket("/")
async def store(request, socket):
    doing = None
    try:
        async for message in socket:
            doing = message
            await asyncio.sleep(0.3)  # what a database would take
            print(f"stored {message}", flush=True)
        print("the loop ended", flush=True)
    except asyncio.CancelledError:
        print(f"cancelled while storing {doing}", flush=True)
        raise


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(sys.argv[1]), single_process=True, access_log=False, motd=False)
END
cat > on_uvicorn.py <<'END'
import asyncio
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute


async def store(socket):
    await socket.accept()
    async for message in socket.iter_text():
        await asyncio.sleep(0.3)
        print(f"stored {message}", flush=True)
    print("the loop ended", flush=True)


uvicorn.run(Starlette(routes=[WebSocketRoute("/", store)]), port=int(sys.argv[1]), log_level="critical")
END

run_python <<'END'
import asyncio
import sys

from wire import TEXT, close, compare, connect, frame, free_port, running, versions

versions("sanic", "starlette", "uvicorn", "websockets")


def text(message):
    return frame(TEXT, message.encode(), masked=True)


async def seen_by(program):
    """Return what the client got, and what the handler did."""
    port = free_port()
    with running(sys.executable, program, str(port), port=port) as process:
        _, peer = await connect(port)
        await peer.send(text("a"), text("b"), text("c"), close(1000, masked=True))
        await peer.rest()
        await asyncio.sleep(2)
    own = [line for line in process.stdout.read().splitlines() if line.startswith(("stored", "cancelled", "the loop"))]
    return ", ".join(peer.seen), ", ".join(own)


async def main():
    seen = {
        "uvicorn": await seen_by("on_uvicorn.py"),
        "Sanic": await seen_by("on_sanic.py"),
    }
    print("a client sends a, b, c and a close with 1000")
    for name, (client, handler) in seen.items():
        print(f"{name}: the client got {client}; the handler: {handler}")
    return list(seen.values())


answered = "close 1000, end"
stored = "stored a, stored b, stored c, the loop ended"
compare(asyncio.run(main()), [(answered, stored), (answered, "cancelled while storing a")])
END
