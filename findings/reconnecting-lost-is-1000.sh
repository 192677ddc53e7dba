#!/bin/sh
# reconnecting-lost-is-1000: reconnecting-websocket and partysocket report a lost connection as 1000, a normal closure.
#
# Expected: the wrapper's `close` event has the code of the socket inside: 1006 when the connection broke, or when the
#           server refused it.
# Seen:     the socket inside emits `error` before `close`, as the HTML standard says; at the error the wrapper makes up
#           a close event of its own, with 1000 and no reason, and no longer listens to the real one. Over `ws`, which has no error
#           for a lost connection, the code is 1006.
# Matters:  metrics of clients show normal closures only, and code that asks for `event.code === 1000` to know that the
#           user left is wrong.
# Versions: reconnecting-websocket 4.4.0, partysocket 1.3.0, undici 7.30.0, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-29:
#   undici itself:                        close 1006
#   reconnecting-websocket over undici:   close 1000
#   partysocket over undici:              close 1000
#   reconnecting-websocket over ws:       close 1006
#   partysocket over ws:                  close 1006
. "$(dirname "$0")/tools.sh"
node_with reconnecting-websocket@4.4.0 partysocket@1.3.0 undici@7.30.0 ws@8.23.0

run_node <<'END'
import { WebSocket as Partysocket } from "partysocket";
import ReconnectingWebSocket from "reconnecting-websocket";
import { WebSocket } from "undici";
import ws from "ws";
import { compare, serve, versions } from "./wire.mjs";

versions("reconnecting-websocket", "partysocket", "undici", "ws");
const server = await serve((socket) => setTimeout(() => socket.terminate(), 50));
const sockets = {
  "undici itself": () => new WebSocket(server.url),
  "reconnecting-websocket over undici": () => new ReconnectingWebSocket(server.url, [], { WebSocket }),
  "partysocket over undici": () => new Partysocket(server.url, [], { WebSocket }),
  "reconnecting-websocket over ws": () => new ReconnectingWebSocket(server.url, [], { WebSocket: ws }),
  "partysocket over ws": () => new Partysocket(server.url, [], { WebSocket: ws }),
};
const seen = [];
for (const [name, open] of Object.entries(sockets)) {
  const socket = open();
  const code = await new Promise((resolve) => (socket.onclose = ({ code }) => resolve(code)));
  socket.onclose = null;
  socket.close();
  console.log(`${name}:`.padEnd(37), "close", code);
  seen.push(code);
}
compare(seen, [1006, 1000, 1000, 1006, 1006]);
END
