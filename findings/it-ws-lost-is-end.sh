#!/bin/sh
# it-ws-lost-is-end: in it-ws, a lost connection ends the loop over messages like a close with 1000.
#
# Expected: `for await (const message of stream.source)` throws when the connection is lost, or closed with an error's code.
#           With `closeOnEnd: false`, the socket stays open when all is sent.
# Seen:     the loop ends without an error after each close, and after a lost connection; the stream has no close code. The
#           sink closes the socket at the end of its source whatever `closeOnEnd` is. Texts arrive as bytes.
# Matters:  a loop that stores a file or follows a feed takes half of it for all.
# Versions: it-ws 6.1.5, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-12-01:
#   close 1000: the loop ended after [104,105]
#   close 1011: the loop ended after [104,105]
#   the connection is lost: the loop ended after [104,105]
#   closeOnEnd: false, and the source of the sink has ended: the server is told 1005
. "$(dirname "$0")/tools.sh"
node_with it-ws@6.1.5 ws@8.23.0

run_node <<'END'
import { connect } from "it-ws/client";
import { compare, serve, sleep, versions } from "./wire.mjs";

versions("it-ws", "ws");

const ENDS = {
  "close 1000": (socket) => socket.close(1000),
  "close 1011": (socket) => socket.close(1011),
  "the connection is lost": (socket) => socket._socket.destroy(),
};
const seen = {};
for (const [name, end] of Object.entries(ENDS)) {
  const server = await serve((socket) => {
    socket.send("hi");
    setTimeout(end, 200, socket);
  });
  const stream = connect(server.url);
  const got = [];
  try {
    for await (const message of stream.source) got.push(...message);
    seen[name] = `the loop ended after ${JSON.stringify(got)}`;
  } catch (error) {
    seen[name] = `the loop threw ${error.message}`;
  }
  console.log(`${name}: ${seen[name]}`);
  server.stop();
}

let code = "nothing";
const server = await serve((socket) => socket.on("close", (told) => (code = told)));
const stream = connect(server.url, { closeOnEnd: false });
await stream.connected();
stream.sink((async function* () { yield "hi"; })());
await sleep(1000);
console.log(`closeOnEnd: false, and the source of the sink has ended: the server is told ${code}`);
server.stop();
compare({ ...seen, code }, {
  "close 1000": "the loop ended after [104,105]",
  "close 1011": "the loop ended after [104,105]",
  "the connection is lost": "the loop ended after [104,105]",
  code: 1005,
});
END
