#!/bin/sh
# rxjs-over-faye: over faye-websocket, RxJS takes every close for an error, a normal 1000 too.
#
# Expected: RxJS runs on any constructor that looks like the browser's (`WebSocketCtor`), and a server's close with
#           1000 completes the Subject, as over undici, ws and browsers.
# Seen:     RxJS asks the close event for `wasClean`. faye-websocket's events have none, so `undefined` makes each close
#           an error; the package `websocket` (w3cwebsocket) says `wasClean: true` for 1000 alone, though the
#           handshake was as clean with 1001 or 4001. With `retry`, such a client comes back after a goodbye.
# Matters:  the same pipeline ends, or connects again, depending on a package that nobody thinks about.
# Versions: rxjs 7.8.2, faye-websocket 0.11.4, websocket 1.0.35, ws 8.23.0, undici 7.30.0; Node 20.20.2
#
# Printed on 2026-11-29:
#   undici:         1000 complete (wasClean true)    4001 complete (wasClean true)
#   ws:             1000 complete (wasClean true)    4001 complete (wasClean true)
#   faye-websocket: 1000 error (wasClean undefined)  4001 error (wasClean undefined)
#   websocket:      1000 complete (wasClean true)    4001 error (wasClean false)
. "$(dirname "$0")/tools.sh"
node_with rxjs@7.8.2 faye-websocket@0.11.4 websocket@1.0.35 ws@8.23.0 undici@7.30.0

run_node <<'END'
import faye from "faye-websocket";
import { webSocket } from "rxjs/webSocket";
import undici from "undici";
import websocket from "websocket";
import ws from "ws";
import { compare, serve, versions } from "./wire.mjs";

versions("rxjs", "faye-websocket", "websocket", "ws", "undici");
const constructors = {
  undici: undici.WebSocket,
  ws,
  "faye-websocket": faye.Client,
  websocket: websocket.w3cwebsocket,
};
const seen = {};
for (const [name, WebSocketCtor] of Object.entries(constructors)) {
  seen[name] = [];
  for (const code of [1000, 4001]) {
    const server = await serve((socket) => socket.close(code));
    let wasClean;
    const end = await new Promise((resolve) =>
      webSocket({ url: server.url, WebSocketCtor, closeObserver: { next: (event) => (wasClean = event.wasClean) } })
        .subscribe({ complete: () => resolve("complete"), error: () => resolve("error") }),
    );
    seen[name].push(`${code} ${end} (wasClean ${wasClean})`);
    server.stop();
  }
  console.log(`${name}:`.padEnd(15), seen[name].map((line) => line.padEnd(32)).join(" ").trimEnd());
}
compare(seen, {
  undici: ["1000 complete (wasClean true)", "4001 complete (wasClean true)"],
  ws: ["1000 complete (wasClean true)", "4001 complete (wasClean true)"],
  "faye-websocket": ["1000 error (wasClean undefined)", "4001 error (wasClean undefined)"],
  websocket: ["1000 complete (wasClean true)", "4001 error (wasClean false)"],
});
END
