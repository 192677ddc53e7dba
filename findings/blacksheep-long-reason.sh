#!/bin/sh
# blacksheep-long-reason: when a BlackSheep handler raises, the text of the exception decides how its client ends.
#
# Expected: a handler that raises closes with 1011, whatever the exception says.
# Seen:     the close has 1011 and the exception's own text as its reason, cut to the 123 bytes that a close frame has room
#           for. If the cut is within a letter that takes two bytes or more, BlackSheep fails at it, and sends no close: on
#           uvicorn the connection is lost, on hypercorn the server closes it, with 1011 and no reason.
# Matters:  clients that stay away after 1011, or count lost connections, do one or the other by the length of a text.
# Versions: blacksheep 2.6.4, uvicorn 0.54.0 with websockets 17.4, hypercorn 0.18.0; Python 3.11.7
#
# Printed on 2026-12-01:
#   uvicorn: a short text: close 1011 Größe fehlt, end
#   uvicorn: 200 letters of ASCII: close 1011 with a reason of 123 bytes, end
#   uvicorn: 201 bytes that are cut within a letter: end
#   hypercorn: a short text: close 1011 Größe fehlt, end
#   hypercorn: 200 letters of ASCII: close 1011 with a reason of 123 bytes, end
#   hypercorn: 201 bytes that are cut within a letter: close 1011, end
. "$(dirname "$0")/tools.sh"
python_with blacksheep==2.6.4 uvicorn==0.54.0 websockets==17.4 hypercorn==0.18.0

cat > application.py <<'END'
from blacksheep import Application, WebSocket

app = Application()


@app.router.ws("/")
async def fail(websocket: WebSocket):
    await websocket.accept()
    raise ValueError(await websocket.receive_text())
END

run_python <<'END'
import asyncio
import sys

from wire import TEXT, close, compare, connect, frame, free_port, running, versions

versions("blacksheep", "uvicorn", "websockets", "hypercorn")
COMMANDS = {
    "uvicorn": "uvicorn --log-level critical --port {} application:app",
    "hypercorn": "hypercorn --bind 127.0.0.1:{} application:app",
}
TEXTS = {
    "a short text": "Größe fehlt",
    "200 letters of ASCII": "x" * 200,
    "201 bytes that are cut within a letter": "x" + "é" * 100,
}


async def main():
    seen = {}
    for name, command in COMMANDS.items():
        port = free_port()
        with running(sys.executable, "-m", *command.format(port).split(), port=port):
            for what, text in TEXTS.items():
                _, peer = await connect(port)
                await peer.send(frame(TEXT, text.encode(), masked=True))
                first = await peer.next()
                if first.startswith("close"):
                    await peer.send(close(1011, masked=True))
                reason = first.removeprefix("close 1011 ")
                if first.startswith("close") and len(reason) > 100:
                    first = f"close 1011 with a reason of {len(reason.encode())} bytes"
                lines = [first] if first == "end" else [first, await peer.next()]
                seen[f"{name}: {what}"] = lines
                print(f"{name}: {what}: {', '.join(lines)}")
    return seen


common = {"a short text": ["close 1011 Größe fehlt", "end"]}
common["200 letters of ASCII"] = ["close 1011 with a reason of 123 bytes", "end"]
uvicorn = common | {"201 bytes that are cut within a letter": ["end"]}
hypercorn = common | {"201 bytes that are cut within a letter": ["close 1011", "end"]}
compare(
    asyncio.run(main()),
    {f"uvicorn: {what}": lines for what, lines in uvicorn.items()}
    | {f"hypercorn: {what}": lines for what, lines in hypercorn.items()},
)
END
