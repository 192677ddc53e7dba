#!/bin/sh
# vueuse-equal-messages: who watches the `data` of VueUse's useWebSocket does not see a message that equals the one before.
#
# Expected: `data` "can be watched to respond to incoming messages", as its documentation says: each message is one call.
# Seen:     `data` is a reference, and Vue tells its watchers of changes alone. The same text twice is one call, however much
#           time is between the two. Binary messages are objects, each a new one, and are all seen. `onMessage` gets all.
# Matters:  "next", "tick", the same price, or a command that is repeated are missed. It depends on what the message before
#           was, so a test with different messages passes. Use `onMessage`, or have the server number its messages.
# Versions: @vueuse/core 14.4.0 (15.0.0, on Node 26.10.0, is the same), vue 3.5.45, undici 7.30.0, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-12-01:
#   the server sends, 100 ms apart: next, next, stop, next
#   watch(data): next, stop, next
#   onMessage:   next, next, stop, next
. "$(dirname "$0")/tools.sh"
node_with @vueuse/core@14.4.0 vue@3.5.45 undici@7.30.0 ws@8.23.0

run_node <<'END'
import { WebSocket } from "undici";
import { compare, serve, sleep, until, versions } from "./wire.mjs";

Object.assign(globalThis, { WebSocket, WorkerGlobalScope: Object }); // as in a worker, where VueUse runs without a page
const { useWebSocket } = await import("@vueuse/core");
const { effectScope, watch } = await import("vue");
versions("@vueuse/core", "vue", "undici", "ws");

const messages = ["next", "next", "stop", "next"];
const server = await serve(async (socket) => {
  for (const message of messages) {
    socket.send(message);
    await sleep(100);
  }
});
const watched = [], received = [];
effectScope().run(() => {
  const { data } = useWebSocket(server.url, { onMessage: (_, event) => received.push(event.data) });
  watch(data, (message) => watched.push(message));
});
await until(() => received.length === messages.length);
await sleep(200);
console.log("the server sends, 100 ms apart:", messages.join(", "));
console.log("watch(data):", watched.join(", "));
console.log("onMessage:  ", received.join(", "));
compare([watched, received], [["next", "stop", "next"], messages]);
END
