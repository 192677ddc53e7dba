#!/bin/sh
# bun-first-subprotocol: Bun's server answers the first subprotocol that the client offers, though it chose none.
#
# Expected: a server that does not name a subprotocol in `upgrade` sends no `Sec-WebSocket-Protocol`, and the client knows
#           that none of its own was accepted (RFC 6455, section 4.2.2).
# Seen:     the answer has the first one offered.
# Matters:  a client that offers "v2" and falls back to "v1" believes that it speaks v2 with a server that has never
#           heard of either.
# Versions: bun 1.4.4, websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-29:
#   offered: chat.v2, chat.v1; the server names none; answered: chat.v2
. "$(dirname "$0")/tools.sh"
python_with websockets==17.4
node_with bun@1.4.4

cat > server.js <<'END'
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("no")),
  websocket: { message() {} },
});
console.log(server.port);
END

run_python <<'END'
import asyncio
import subprocess

from websockets.asyncio.client import connect
from wire import compare, versions

versions("websockets")
print("bun", subprocess.run(["node_modules/.bin/bun", "--version"], capture_output=True, text=True).stdout.strip())


async def main(port):
    async with connect(f"ws://127.0.0.1:{port}/", subprotocols=["chat.v2", "chat.v1"], proxy=None) as socket:
        return socket.subprotocol


with subprocess.Popen(["node_modules/.bin/bun", "server.js"], stdout=subprocess.PIPE, text=True) as server:
    try:
        answered = asyncio.run(main(int(server.stdout.readline())))
    finally:
        server.kill()
print("offered: chat.v2, chat.v1; the server names none; answered:", answered)
compare(answered, "chat.v2")
END
