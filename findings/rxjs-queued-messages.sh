#!/bin/sh
# rxjs-queued-messages: RxJS keeps messages until the socket is open, but not over an attempt that fails.
#
# Expected: `next` before the connection is open is kept and sent when it is, as it is documented, so also when the first
#           attempt fails and `retry` brings the second.
# Seen:     an attempt that fails throws away what waits for it, without a word. What is given between a failure and
#           the next attempt is kept.
# Matters:  a page that sends "login" and "subscribe" while the server restarts comes back connected, and mute.
# Versions: rxjs 7.8.2, undici 7.30.0, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-29:
#   the first attempt is answered with 503, the second succeeds
#   given: 'during the first attempt', 'after it failed'; the server gets: [ '"after it failed"' ]
. "$(dirname "$0")/tools.sh"
node_with rxjs@7.8.2 undici@7.30.0 ws@8.23.0

run_node <<'END'
import { Subject, retry } from "rxjs";
import { webSocket } from "rxjs/webSocket";
import { WebSocket } from "undici";
import { compare, serve, until, versions } from "./wire.mjs";

versions("rxjs", "undici", "ws");
let attempts = 0;
const server = await serve(() => {}, { verifyClient: (_, answer) => answer(++attempts > 1, 503) });
const socket = webSocket({ url: server.url, WebSocketCtor: WebSocket });
const again = new Subject();
socket
  .pipe(retry({ delay: () => { queueMicrotask(() => { socket.next("after it failed"); again.next(); }); return again; } }))
  .subscribe();
socket.next("during the first attempt");
await until(() => server.messages.length > 0);
console.log("the first attempt is answered with 503, the second succeeds");
console.log("given: 'during the first attempt', 'after it failed'; the server gets:", server.messages);
compare([attempts, server.messages], [2, ['"after it failed"']]);
END
