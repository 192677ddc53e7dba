#!/bin/sh
# reconnecting-after-goodbye: reconnecting-websocket, partysocket and websocket-ts connect again after a close with 1000.
#
# Expected: 1000 means that the purpose is fulfilled (RFC 6455, section 7.4.1), and 1008 or a code of one's own that the
#           client is not wanted; a wrapper comes back after the others.
# Seen:     by default all three come back after any code, 1000 and 1008 too.
# Matters:  a server cannot send these clients away: "logged in elsewhere" with two tabs is a loop in which each tab
#           pushes the other out. The client has to close the wrapper itself when it sees such a code.
# Versions: reconnecting-websocket 4.4.0, partysocket 1.3.0, websocket-ts 2.3.0, undici 7.30.0, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-29:
#   reconnecting-websocket: came back after 1000, 1008, 4001
#   partysocket: came back after 1000, 1008, 4001
#   websocket-ts: came back after 1000, 1008, 4001
. "$(dirname "$0")/tools.sh"
node_with reconnecting-websocket@4.4.0 partysocket@1.3.0 websocket-ts@2.3.0 undici@7.30.0 ws@8.23.0

run_node <<'END'
import { WebSocket as Partysocket } from "partysocket";
import ReconnectingWebSocket from "reconnecting-websocket";
import { WebSocket } from "undici";
import { ConstantBackoff, WebsocketBuilder } from "websocket-ts";
import { compare, serve, until, versions } from "./wire.mjs";

versions("reconnecting-websocket", "partysocket", "websocket-ts", "undici", "ws");
globalThis.WebSocket = WebSocket; // websocket-ts takes the global one
const quick = { WebSocket, minReconnectionDelay: 20, maxReconnectionDelay: 20 };
const wrappers = {
  "reconnecting-websocket": (url) => new ReconnectingWebSocket(url, [], quick),
  partysocket: (url) => new Partysocket(url, [], quick),
  "websocket-ts": (url) => new WebsocketBuilder(url).withBackoff(new ConstantBackoff(20)).build(),
};
const seen = {};
for (const [name, open] of Object.entries(wrappers)) {
  seen[name] = [];
  for (const code of [1000, 1008, 4001]) {
    const server = await serve((socket, number) => number === 1 && socket.close(code, "go away"));
    const socket = open(server.url);
    await until(() => server.connections > 1);
    if (server.connections > 1) seen[name].push(code);
    socket.close();
    server.stop();
  }
  console.log(`${name}: came back after`, seen[name].join(", "));
}
compare(seen, {
  "reconnecting-websocket": [1000, 1008, 4001],
  partysocket: [1000, 1008, 4001],
  "websocket-ts": [1000, 1008, 4001],
});
END
