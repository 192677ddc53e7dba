#!/bin/sh
# nodejs-websocket-bytes-as-text: nodejs-websocket answers pings with other bytes, and breaks letters that fragments cut.
#
# Expected: a pong has the bytes of its ping, whatever they are (RFC 6455, 5.5.3), and a text in fragments is decoded as a whole:
#           "a particular text frame might include a partial UTF-8 sequence" (5.6).
# Seen:     it reads each frame as a text of its own. A byte of a ping that is not UTF-8 comes back as three others, and of a
#           letter that two fragments share, each half becomes "\ufffd". No error, no close.
# Matters:  a client on `websockets`, whose pings have four random bytes, closes with 1011 "keepalive ping timeout" while
#           messages go back and forth; tests whose pings are words pass. Texts are damaged where a peer or a proxy cuts.
# Versions: nodejs-websocket 1.7.2, websockets 17.4; Python 3.11.7, Node 20.20.2
#
# Printed on 2026-12-01:
#   a ping with b'one' is answered with: pong b'one'
#   a ping with b'\xff\x01' is answered with: pong b'\xef\xbf\xbd\x01'
#   'gruß', cut within its last letter, is echoed as: 'gru\ufffd\ufffd'
#   a client that pings each second, and talks all the time: 1011 'keepalive ping timeout'
#   a client that sends no pings: 30 messages and 30 answers
. "$(dirname "$0")/tools.sh"
python_with websockets==17.4
node_with nodejs-websocket@1.7.2

cat > server.cjs <<'END'
const server = require("nodejs-websocket").createServer((socket) => {
  socket.on("text", (text) => socket.sendText(text));
  socket.on("error", () => {});
});
server.listen(+process.argv[2], "127.0.0.1");
END

run_python <<'END'
import asyncio
import logging

from websockets.asyncio.client import connect as websockets_connect
from websockets.exceptions import ConnectionClosedError
from wire import PING, TEXT, compare, connect, frame, free_port, running, versions

versions("websockets")
logging.disable()


async def talk(port, **options):
    async with websockets_connect(f"ws://127.0.0.1:{port}/", close_timeout=1, **options) as client:
        try:
            for _ in range(30):
                await client.send("hello")
                await client.recv()
                await asyncio.sleep(0.2)
        except ConnectionClosedError as end:
            return f"{end.sent.code} {end.sent.reason!r}"
    return "30 messages and 30 answers"


async def main():
    port = free_port()
    with running("node", "server.cjs", str(port), port=port):
        _, peer = await connect(port)
        seen = []
        for data in (b"one", b"\xff\x01"):
            await peer.send(frame(PING, data, masked=True))
            seen.append(await peer.next())
            print(f"a ping with {data} is answered with: {seen[-1]}")
        text = "gruß".encode()
        await peer.send(frame(TEXT, text[:-1], fin=False, masked=True), frame(0, text[-1:], masked=True))
        seen.append(await peer.next())
        echo = ascii(eval(seen[-1].removeprefix("text ")).decode())
        print(f"'gruß', cut within its last letter, is echoed as: {echo}")
        seen.append(await talk(port, ping_interval=1, ping_timeout=2))
        print(f"a client that pings each second, and talks all the time: {seen[-1]}")
        seen.append(await talk(port, ping_interval=None))
        print(f"a client that sends no pings: {seen[-1]}")
    return seen


recorded = ["pong b'one'", r"pong b'\xef\xbf\xbd\x01'", r"text b'gru\xef\xbf\xbd\xef\xbf\xbd'"]
compare(asyncio.run(main()), [*recorded, "1011 'keepalive ping timeout'", "30 messages and 30 answers"])
END
