#!/bin/sh
# rxjs-clean-close-completes: RxJS completes a webSocket that the server closed with an error's code; retry never runs.
#
# Expected: `webSocket(url).pipe(retry(...))` connects again when the server goes: at a restart (1001, 1012), after an
#           error of the server (1011), when it is overloaded (1013).
# Seen:     each close frame, whatever its code, completes the Subject; only a connection that breaks without one is an
#           error. `retry` sees no error, and the client stays away. `closeObserver` alone is told the code.
# Matters:  the more properly a server says goodbye at a restart, the fewer clients come back. The client needs
#           `repeat`, or a `closeObserver`; a server for such clients may have to drop the connection.
# Versions: rxjs 7.8.2, undici 7.30.0, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-29:
#   1001: complete, connections: 1
#   1011: complete, connections: 1
#   1012: complete, connections: 1
#   1013: complete, connections: 1
#   dropped: error, connections: 3
. "$(dirname "$0")/tools.sh"
node_with rxjs@7.8.2 undici@7.30.0 ws@8.23.0

run_node <<'END'
import { retry } from "rxjs";
import { webSocket } from "rxjs/webSocket";
import { WebSocket } from "undici";
import { compare, serve, versions } from "./wire.mjs";

versions("rxjs", "undici", "ws");
const seen = [];
for (const code of [1001, 1011, 1012, 1013, "dropped"]) {
  const server = await serve((socket) => (code === "dropped" ? socket.terminate() : socket.close(code, "restart")));
  const end = await new Promise((resolve) =>
    webSocket({ url: server.url, WebSocketCtor: WebSocket })
      .pipe(retry({ count: 2, delay: 20 }))
      .subscribe({ complete: () => resolve("complete"), error: () => resolve("error") }),
  );
  console.log(`${code}: ${end}, connections: ${server.connections}`);
  seen.push([code, end, server.connections]);
  server.stop();
}
compare(seen, [
  [1001, "complete", 1],
  [1011, "complete", 1],
  [1012, "complete", 1],
  [1013, "complete", 1],
  ["dropped", "error", 3],
]);
END
