#!/bin/sh
# rxjs-websockets-no-code: in rxjs-websockets, a close with 1011 is the same empty error as a lost connection.
#
# Expected: the error that a close becomes has its code, so that `retry` or `catchError` can tell 1008 from 1011 and 1006.
# Seen:     the error is a plain Error with the close's reason as its message, and nothing else. 1000 has the message "Normal
#           closure" and is an error, too. A close without a reason, and a lost connection, have an empty message.
# Matters:  a client cannot decide by the code whether to come back; RxJS's own webSocket hands out the close event.
# Versions: rxjs-websockets 9.0.0, rxjs 7.8.2, undici 7.30.0, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-12-01:
#   close 1000: an error with the message "Normal closure", and no other field
#   close 1000 "done": an error with the message "Normal closure", and no other field
#   close 1008 "no": an error with the message "no", and no other field
#   close 1011: an error with the message "", and no other field
#   the connection is lost: an error with the message "", and no other field
. "$(dirname "$0")/tools.sh"
node_with rxjs-websockets@9.0.0 rxjs@7.8.2 undici@7.30.0 ws@8.23.0

run_node <<'END'
import module from "rxjs-websockets";
import { NEVER, switchMap } from "rxjs";
import { WebSocket } from "undici";
import { compare, serve, versions } from "./wire.mjs";

const makeWebSocketObservable = module.default ?? module;
versions("rxjs-websockets", "rxjs", "undici", "ws");

const ENDS = {
  "close 1000": (socket) => socket.close(1000),
  'close 1000 "done"': (socket) => socket.close(1000, "done"),
  'close 1008 "no"': (socket) => socket.close(1008, "no"),
  "close 1011": (socket) => socket.close(1011),
  "the connection is lost": (socket) => socket._socket.destroy(),
};
const seen = {};
for (const [name, end] of Object.entries(ENDS)) {
  const server = await serve((socket) => setTimeout(end, 200, socket));
  const options = { protocols: [], makeWebSocket: (url, protocols) => new WebSocket(url, protocols) };
  const messages = makeWebSocketObservable(server.url, options).pipe(switchMap((responses) => responses(NEVER)));
  seen[name] = await new Promise((resolve) => {
    messages.subscribe({
      error: (error) => resolve([error.message, ...Object.keys(error)]),
      complete: () => resolve(["completed"]),
    });
  });
  const [message, ...fields] = seen[name];
  console.log(`${name}: an error with the message "${message}", and ${fields.join(", ") || "no other field"}`);
  server.stop();
}
compare(seen, {
  "close 1000": ["Normal closure"],
  'close 1000 "done"': ["Normal closure"],
  'close 1008 "no"': ["no"],
  "close 1011": [""],
  "the connection is lost": [""],
});
END
