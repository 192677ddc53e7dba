#!/bin/sh
# microdot-skips-empty: Microdot's own server hands out no empty message, and hangs up at one in fragments.
#
# Expected: receive() returns "" for an empty text, and a message in two fragments as one; or the client is told 1003 or 1009.
# Seen:     receive() skips empty messages, and waits for the next one. At the first fragment the handler is ended by an error
#           that Microdot keeps to itself: the log has nothing, and the close frame has no code.
# Matters:  a client that waits for the answer to an empty message waits for ever. Browsers send no fragments, but many
#           libraries do for large or streamed messages.
# Versions: microdot 2.7.0, websockets 17.4; Python 3.11.7
#
# Printed on 2026-12-01:
#   "hello" is answered with text b"'hello'"
#   "" is answered with silence
#   "good" + "bye" is answered with close without a code
#   the server's log has 0 lines about it
. "$(dirname "$0")/tools.sh"
python_with microdot==2.7.0 websockets==17.4

cat > application.py <<'END'
import sys

from microdot import Microdot
from microdot.websocket import with_websocket

app = Microdot()


@app.route("/")
@with_websocket
async def tell(request, socket):
    while True:
        await socket.send(repr(await socket.receive()))


app.run(host="127.0.0.1", port=int(sys.argv[1]))
END

run_python <<'END'
import asyncio
import sys

from wire import TEXT, compare, connect, frame, free_port, running, versions

versions("microdot")
MESSAGES = {
    '"hello"': [frame(TEXT, b"hello", masked=True)],
    '""': [frame(TEXT, b"", masked=True)],
    '"good" + "bye"': [frame(TEXT, b"good", fin=False, masked=True), frame(0, b"bye", masked=True)],
}


async def main():
    port, seen = free_port(), {}
    with running(sys.executable, "application.py", str(port), port=port) as process:
        for name, frames in MESSAGES.items():
            _, peer = await connect(port)
            await peer.send(*frames)
            seen[name] = await peer.next(2)
            print(f"{name} is answered with {seen[name]}")
            peer.writer.close()
        process.terminate()
        seen["log"] = len([line for line in process.stdout if "rror" in line or "raceback" in line])
        print(f"the server's log has {seen['log']} lines about it")
    return seen


compare(
    asyncio.run(main()),
    {'"hello"': "text b\"'hello'\"", '""': "silence", '"good" + "bye"': "close without a code", "log": 0},
)
END
