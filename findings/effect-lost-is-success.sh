#!/bin/sh
# effect-lost-is-success: in Effect, a socket that has lost its connection ends with success, like one closed with 1000.
#
# Expected: `run` of a Socket succeeds when the server has said goodbye, and fails when the connection breaks, so that
#           `Effect.retry` connects again.
# Seen:     on ws, a lost connection (1006) is success, and a close frame without a code (1005) failure. The rule is
#           `code !== 1000 && code !== 1006` for what is an error. On undici, which emits an error event too, a lost
#           connection is a failure to read.
# Matters:  what was read up to then counts as all there is, and `retry` stays away after a crash of the server or the
#           network, while it comes back after a goodbye.
# Versions: effect 3.22.4, @effect/platform 0.97.2, ws 8.23.0, undici 7.30.0; Node 20.20.2
#
# Printed on 2026-12-01:
#   ws, closed with 1000: Success
#   ws, closed with 1001: Failure
#   ws, closed with 1005: Failure
#   ws, closed with 1006: Success
#   undici, closed with 1000: Success
#   undici, closed with 1001: Failure
#   undici, closed with 1005: Failure
#   undici, closed with 1006: Failure
. "$(dirname "$0")/tools.sh"
node_with effect@3.22.4 @effect/platform@0.97.2 ws@8.23.0 undici@7.30.0

run_node <<'END'
import * as Socket from "@effect/platform/Socket";
import { Effect } from "effect";
import * as undici from "undici";
import ws from "ws";
import { compare, serve, sleep, versions } from "./wire.mjs";

versions("effect", "@effect/platform", "ws", "undici");
const seen = {};
for (const [name, WebSocket] of [["ws", ws], ["undici", undici.WebSocket]]) {
  globalThis.WebSocket = WebSocket;
  for (const code of [1000, 1001, 1005, 1006]) {
    const server = await serve(async (socket) => {
      socket.send("a message");
      await sleep(50);
      if (code === 1006) socket.terminate();
      else socket.close(code === 1005 ? undefined : code);
    });
    const reading = Effect.gen(function* () {
      const socket = yield* Socket.makeWebSocket(server.url);
      yield* socket.runRaw(() => {});
    });
    const exit = await Effect.runPromiseExit(Effect.provide(reading, Socket.layerWebSocketConstructorGlobal));
    seen[`${name}, closed with ${code}`] = exit._tag;
    console.log(`${name}, closed with ${code}: ${exit._tag}`);
    server.stop();
  }
}
compare(seen, {
  "ws, closed with 1000": "Success",
  "ws, closed with 1001": "Failure",
  "ws, closed with 1005": "Failure",
  "ws, closed with 1006": "Success",
  "undici, closed with 1000": "Success",
  "undici, closed with 1001": "Failure",
  "undici, closed with 1005": "Failure",
  "undici, closed with 1006": "Failure",
});
END
