#!/bin/sh
# socketio-recovery-argument: with connectionStateRecovery, socket.io gives each handler of a client one argument more.
#
# Expected: the option makes the server keep what a client that was lost for a moment has missed. Events arrive as before.
# Seen:     the server appends an id to each event that it sends, behind the program's own arguments. Handlers in JavaScript
#           do not notice one argument too many. python-socketio calls `def price(value)` with two: a TypeError, in a task
#           whose exception is only logged. Events without an answer are affected, those that ask for one are not.
# Matters:  an option on the server silences all handlers of its clients in Python, which stay connected. Have them
#           take `*_`, as in `def price(value, *_)`.
# Versions: socket.io 4.8.4, python-socketio 5.18.1, aiohttp 3.14.5; Python 3.11.7, Node 20.20.2
#
# Printed on 2026-12-01:
#   by default:              on the wire ["price",42] ["done"], price() was called with 42, TypeErrors: 0
#   connectionStateRecovery: on the wire ["price",42,id] ["done",id], price() was never called, TypeErrors: 2
. "$(dirname "$0")/tools.sh"
python_with python-socketio==5.18.1 aiohttp==3.14.5
node_with socket.io@4.8.4

cat > server.mjs <<'END'
import { Server } from "socket.io";
const [port, recovery] = process.argv.slice(2);
const server = new Server(+port, recovery === "yes" ? { connectionStateRecovery: {} } : {});
server.on("connection", (socket) => {
  socket.on("ready", () => {
    socket.emit("price", 42);
    socket.emit("done");
  });
});
END

run_python <<'END'
import asyncio
import json

import socketio
from socketio.packet import Packet
from wire import compare, free_port, running, versions

versions("python-socketio", "aiohttp")


async def run(recovery):
    wire, called, errors = [], [], []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(type(context["exception"]).__name__))

    class Shown(Packet):
        def decode(self, encoded):
            count = super().decode(encoded)
            if self.packet_type == 2:
                known = {"price": 2, "done": 1}[self.data[0]]
                wire.append(json.dumps(self.data[:known] + ["id"] * (len(self.data) - known), separators=(",", ":")))
            return count

    client = socketio.AsyncClient()
    client.packet_class = Shown

    @client.event
    async def price(value):
        called.append(value)

    @client.event
    async def done():
        pass

    port = free_port()
    with running("node", "server.mjs", str(port), recovery, port=port):
        await client.connect(f"http://127.0.0.1:{port}", transports=["websocket"])
        await client.emit("ready")
        for _ in range(500):
            if len(wire) == 2:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        await client.disconnect()
    return wire, called, errors


seen = []
for name, recovery in (("by default:", "no"), ("connectionStateRecovery:", "yes")):
    wire, called, errors = asyncio.run(run(recovery))
    seen.append((wire, called, errors))
    shown = f"was called with {called[0]}" if called else "was never called"
    print(f"{name:24} on the wire", *(text.replace('"id"', "id") for text in wire), end="")
    print(f", price() {shown}, TypeErrors: {errors.count('TypeError')}")
with_ids = ['["price",42,"id"]', '["done","id"]']
compare(seen, [(['["price",42]', '["done"]'], [42], []), (with_ids, [], ["TypeError", "TypeError"])])
END
