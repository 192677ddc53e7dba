#!/bin/sh
# ws4py-sends-1005: ws4py answers a close frame without a code with the code 1005, which fails the client's close.
#
# Expected: an empty close frame is answered with an empty one, or with 1000. 1005 stands for "no code" in programs, and must
#           not be sent (RFC 6455, section 7.4.1).
# Seen:     the answer is 1005 on the wire. Node's ws and undici send an empty frame in `close()`, as browsers do, and take
#           the answer for a protocol error: an `error` event, then 1006, a lost connection. Clients that close with 1000
#           see nothing of it.
# Matters:  every goodbye of a page looks like a failure there, and a client that comes back after 1006 does so though its
#           program has closed it. Have clients close with a code.
# Versions: ws4py 0.6.0, ws 8.23.0, undici 7.30.0; Python 3.11.7, Node 20.20.2
#
# Printed on 2026-11-30:
#   an empty close frame is answered with: close 1005
#   ws     close() error, 1006   close(1000) 1000
#   undici close() error, 1006   close(1000) 1000
. "$(dirname "$0")/tools.sh"
python_with ws4py==0.6.0
node_with ws@8.23.0 undici@7.30.0

cat > server.py <<'END'
import sys
from wsgiref.simple_server import make_server

from ws4py.server.wsgirefserver import WebSocketWSGIRequestHandler, WSGIServer
from ws4py.server.wsgiutils import WebSocketWSGIApplication
from ws4py.websocket import EchoWebSocket

server = make_server(
    "127.0.0.1",
    int(sys.argv[1]),
    server_class=WSGIServer,
    handler_class=WebSocketWSGIRequestHandler,
    app=WebSocketWSGIApplication(handler_cls=EchoWebSocket),
)
server.initialize_websockets_manager()
server.serve_forever()
END

cat > clients.mjs <<'END'
import undici from "undici";
import ws from "ws";
import { versions } from "./wire.mjs";

versions("ws", "undici");
for (const [name, WebSocket] of [["ws", ws], ["undici", undici.WebSocket]]) {
  const line = [name.padEnd(6)];
  for (const code of [undefined, 1000]) {
    const seen = [];
    await new Promise((resolve) => {
      const socket = new WebSocket(process.argv[2]);
      socket.onopen = () => socket.close(code);
      socket.onerror = () => seen.push("error");
      socket.onclose = (event) => resolve(seen.push(event.code));
    });
    line.push(`close(${code ?? ""}) ${seen.join(", ")}`);
  }
  console.log(line[0], line.slice(1).join("   "));
}
END

run_python <<'END'
import asyncio
import subprocess
import sys

from wire import close, compare, connect, free_port, running, versions

versions("ws4py")
port = free_port()


async def answer():
    _, peer = await connect(port)
    await peer.send(close(masked=True))
    return await peer.next()


with running(sys.executable, "-W", "ignore", "server.py", str(port), port=port):
    answered = asyncio.run(answer())
    command = ["node", "--no-warnings", "clients.mjs", f"ws://127.0.0.1:{port}/"]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=50, check=True).stdout
clients, *lines = output.splitlines()
print(clients)
print("an empty close frame is answered with:", answered)
print(*lines, sep="\n")
compare(
    (answered, lines),
    ("close 1005", [f"{name:6} close() error, 1006   close(1000) 1000" for name in ("ws", "undici")]),
)
END
