#!/bin/sh
# tremolo-empty-last-fragment: Tremolo joins a message whose last fragment is empty with the message after it.
#
# Expected: an empty fragment that says "final" ends the message (RFC 6455, section 5.4), as any other does. It is how a
#           sender ends that learns only afterward that there is no more: `send(["12", "34"])` of websockets does so.
# Seen:     the application gets nothing, until the next message comes: then "1234" and "5" are one message, "12345". After a
#           last fragment with something in it, "1234" comes at once.
# Matters:  two right messages become one wrong one, without an error, and the answer to the first comes late or never. It
#           depends on nothing but the way in which the client's library cuts.
# Versions: tremolo 0.5.3, websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-30:
#   "12", then "34" as the last fragment: ['1234', '5']
#   "12", "34", and an empty last one:    ['12345']
#   send(["12", "34"]) of websockets:     nothing for a second; after send("5"): '12345'
. "$(dirname "$0")/tools.sh"
python_with tremolo==0.5.3 websockets==17.4

cat > app.py <<'END'
import sys

from tremolo import Application

app = Application()


@app.route("/")
async def echo(websocket=None, **_):
    async for message in websocket:
        await websocket.send(message)


app.run("127.0.0.1", int(sys.argv[1]))
END

run_python <<'END'
import asyncio
import sys

from websockets.asyncio.client import connect as connect_with_websockets
from wire import TEXT, compare, connect, frame, free_port, running, versions

versions("tremolo", "websockets")
port = free_port()


async def echoed(*fragments):
    """Send one message in fragments, then "5", and return what comes back."""
    _, peer = await connect(port)
    opcodes = [TEXT, *[0] * (len(fragments) - 1)]
    final = [*[False] * (len(fragments) - 1), True]
    frames = zip(opcodes, fragments, final, strict=True)
    await peer.send(*(frame(opcode, payload, fin=fin, masked=True) for opcode, payload, fin in frames))
    await peer.send(frame(TEXT, b"5", masked=True))
    return [line.split("b", 1)[1].strip("'") for line in (await peer.rest(1))[:-1]]


async def with_websockets():
    async with connect_with_websockets(f"ws://127.0.0.1:{port}/") as socket:
        await socket.send(["12", "34"])
        try:
            first = await asyncio.wait_for(socket.recv(), 1)
        except TimeoutError:
            first = "nothing"
        await socket.send("5")
        return first, await socket.recv()


async def main():
    return await echoed(b"12", b"34"), await echoed(b"12", b"34", b""), await with_websockets()


with running(sys.executable, "app.py", str(port), port=port):
    full, empty, (first, then) = asyncio.run(main())
print('"12", then "34" as the last fragment:', full)
print('"12", "34", and an empty last one:   ', empty)
print('send(["12", "34"]) of websockets:    ', first, f'for a second; after send("5"): {then!r}')
compare((full, empty, first, then), (["1234", "5"], ["12345"], "nothing", "12345"))
END
