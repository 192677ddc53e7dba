#!/bin/sh
# rpc-websockets-id-zero: a server of rpc-websockets runs a call with the id 0, and never answers it.
#
# Expected: an answer. In JSON-RPC 2.0 a call without an id is a notification, which has none; an id may be any number,
#           and the answer has the same. Clients that count from 0 are common.
# Seen:     0 is taken for no id: the method runs, and nothing comes back. If the call fails, the error comes with the id
#           null, and nobody knows whose it is.
# Matters:  the first call of such a client, its login usually, waits until it times out, and has been done. Count from 1.
# Versions: rpc-websockets 10.0.1, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-29:
#   call with the id 1: { jsonrpc: '2.0', result: 'done', id: 1 }
#   call with the id 0: nothing
#   unknown method, 0:  { code: -32601, id: null }
#   the method ran: 2 times
. "$(dirname "$0")/tools.sh"
node_with rpc-websockets@10.0.1 ws@8.23.0

run_node <<'END'
import { once } from "node:events";
import { Server } from "rpc-websockets";
import { WebSocket } from "ws";
import { compare, sleep, until, versions } from "./wire.mjs";

versions("rpc-websockets", "ws");
const server = new Server({ port: 0, host: "127.0.0.1" });
let ran = 0;
server.register("work", () => {
  ran += 1;
  return "done";
});
await once(server, "listening");
const socket = new WebSocket(`ws://127.0.0.1:${server.wss.address().port}/`);
const answers = [];
socket.on("message", (data) => answers.push(JSON.parse(String(data))));
await once(socket, "open");

async function call(method, id) {
  answers.length = 0;
  socket.send(JSON.stringify({ jsonrpc: "2.0", method, id }));
  const before = Date.now();
  await until(() => answers.length > 0 || Date.now() - before > 1000);
  return answers[0] ?? "nothing";
}

const one = await call("work", 1);
const zero = await call("work", 0);
const { error, id } = await call("nonsense", 0);
const unknown = { code: error.code, id };
console.log("call with the id 1:", one);
console.log("call with the id 0:", zero);
console.log("unknown method, 0: ", unknown);
console.log(`the method ran: ${ran} times`);
socket.close();
await sleep(50);
await server.close();
compare([one.result, zero, unknown, ran], ["done", "nothing", { code: -32601, id: null }, 2]);
process.exit();
END
