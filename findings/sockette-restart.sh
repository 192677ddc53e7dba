#!/bin/sh
# sockette-restart: sockette does not come back after 1001, the code of a server that restarts.
#
# Expected: a wrapper whose purpose is to reconnect does so when the server is "going away" (1001): servers on
#           `websockets`, and nats-server, send it when they are restarted.
# Seen:     sockette takes 1000, 1001 and 1005 (a close frame without a code, which granian and socket.io send) for
#           goodbyes and stays away. After 1012, "service restart", and 1006 it comes back.
# Matters:  each proper deployment loses all these clients until their page is loaded again; a crash loses none.
# Versions: sockette 2.0.6, undici 7.30.0, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-29:
#   the server closes with 1001: stays away
#   the server closes with 1005: stays away
#   the server closes with 1012: comes back
#   the server closes with 1006: comes back
. "$(dirname "$0")/tools.sh"
node_with sockette@2.0.6 undici@7.30.0 ws@8.23.0

run_node <<'END'
import Sockette from "sockette";
import { WebSocket } from "undici";
import { compare, serve, sleep, until, versions } from "./wire.mjs";

versions("sockette", "undici", "ws");
globalThis.WebSocket = WebSocket;
const seen = {};
for (const code of [1001, 1005, 1012, 1006]) {
  const server = await serve((socket, number) => {
    if (number > 1) return;
    if (code === 1006) socket.terminate();
    else socket.close(code === 1005 ? undefined : code);
  });
  let closed = false;
  const socket = Sockette(server.url, { timeout: 20, maxAttempts: 3, onclose: () => (closed = true), onerror() {} });
  await until(() => closed);
  await sleep(500); // 25 times its delay
  seen[code] = server.connections > 1 ? "comes back" : "stays away";
  console.log(`the server closes with ${code}: ${seen[code]}`);
  socket.close();
  server.stop();
}
compare(seen, { 1001: "stays away", 1005: "stays away", 1006: "comes back", 1012: "comes back" });
END
