#!/bin/sh
# w3cwebsocket-empty-text: the npm package `websocket` never hands an empty text message to onmessage.
#
# Expected: each message is an event; an empty one has `data === ""`, as in browsers, ws, undici and Bun.
# Seen:     w3cwebsocket drops it. An empty binary message is an event.
# Matters:  an empty text is a cheap heartbeat of the application, and the "end of list" of line protocols. The program
#           waits, and nothing is logged. A falsy value was taken for none.
# Versions: websocket 1.0.35, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-29:
#   the server sends: '', an empty binary message, 'x'
#   w3cwebsocket: [ 'ArrayBuffer of 0', '"x"' ]
#   ws:           [ '""', 'ArrayBuffer of 0', '"x"' ]
. "$(dirname "$0")/tools.sh"
node_with websocket@1.0.35 ws@8.23.0

run_node <<'END'
import websocket from "websocket";
import ws from "ws";
import { compare, serve, versions } from "./wire.mjs";

versions("websocket", "ws");
const server = await serve((socket) => {
  socket.send("");
  socket.send(Buffer.alloc(0));
  socket.send("x");
  socket.close(1000);
});

function received(WebSocket) {
  const socket = new WebSocket(server.url);
  socket.binaryType = "arraybuffer";
  const messages = [];
  socket.onmessage = ({ data }) =>
    messages.push(typeof data === "string" ? JSON.stringify(data) : `${data.constructor.name} of ${data.byteLength}`);
  return new Promise((resolve) => (socket.onclose = () => resolve(messages)));
}

const seen = [await received(websocket.w3cwebsocket), await received(ws)];
console.log("the server sends: '', an empty binary message, 'x'");
console.log("w3cwebsocket:", seen[0]);
console.log("ws:          ", seen[1]);
compare(seen, [
  ["ArrayBuffer of 0", '"x"'],
  ['""', "ArrayBuffer of 0", '"x"'],
]);
END
