#!/bin/sh
# graphql-ws-lost-is-final: graphql-ws ends a subscription when one new attempt fails, and with undici when a connection is lost.
#
# Expected: a client with `retryAttempts`, 5 by default, comes back after a lost connection, whichever WebSocket class it
#           has, and tries again while the server or its proxy is not ready yet.
# Seen:     by default, it retries after close events only. An attempt that fails is an error event first, so one 503 ends
#           the subscription, and the other attempts are never made. undici, the WebSocket of Node 22 and later, has an
#           error event for a lost connection, too, so not even one is made; ws, like Chromium, has none.
# Matters:  a server that closes properly and is back in two seconds loses its subscribers for good: their attempt finds it
#           down. Give each client `shouldRetry: () => true`; some close codes, such as 1011 and 4401, stay final.
# Versions: graphql-ws 6.4.2, graphql 16.15.0, undici 7.30.0, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-30:
#   undici, closed with 1001: goes on, attempts: 2
#   undici, closed with 1001, then 503: ends with an error event, attempts: 2
#   undici, lost: ends with an error event, attempts: 1
#   undici, lost, then 503, with shouldRetry: goes on, attempts: 3
#   ws, closed with 1001: goes on, attempts: 2
#   ws, closed with 1001, then 503: ends with an error event, attempts: 2
#   ws, lost: goes on, attempts: 2
#   ws, lost, then 503, with shouldRetry: goes on, attempts: 3
. "$(dirname "$0")/tools.sh"
node_with graphql-ws@6.4.2 graphql@16.15.0 undici@7.30.0 ws@8.23.0

run_node <<'END'
import { createClient } from "graphql-ws";
import * as undici from "undici";
import * as ws from "ws";
import { compare, serve, sleep, until, versions } from "./wire.mjs";

versions("graphql-ws", "graphql", "undici", "ws");
const PROTOCOL = { handleProtocols: () => "graphql-transport-ws" };

// Subscribe at a server that ends the first connection; return how often it was asked to connect, and what came of it.
async function subscribe(webSocketImpl, end, refusesSecond, options = {}) {
  let attempts = 0;
  const verifyClient = (_, answer) => answer(!(++attempts === 2 && refusesSecond), 503);
  const onSocket = (socket, number) =>
    socket.on("message", (data) => {
      const { type, id } = JSON.parse(String(data));
      if (type === "connection_init") socket.send('{"type":"connection_ack"}');
      if (type !== "subscribe") return;
      socket.send(JSON.stringify({ type: "next", id, payload: { data: { number } } }));
      if (number === 1) end(socket);
    });
  const server = await serve(onSocket, { ...PROTOCOL, verifyClient });
  const client = createClient({ url: server.url, webSocketImpl, retryWait: () => sleep(20), ...options });
  const numbers = [];
  let outcome = "goes on";
  client.subscribe(
    { query: "subscription { number }" },
    {
      next: ({ data }) => numbers.push(data.number),
      error: (error) => (outcome = `ends with an ${error.type} event`),
      complete: () => (outcome = "completes"),
    },
  );
  await until(() => numbers.length === 2 || outcome !== "goes on");
  client.dispose();
  server.stop();
  return `${outcome}, attempts: ${attempts}`;
}

const closes = (socket) => socket.close(1001, "restart");
const breaks = (socket) => socket.terminate();
const seen = [];
for (const [name, { WebSocket }] of Object.entries({ undici, ws })) {
  for (const [what, ...how] of [
    ["closed with 1001", closes, false],
    ["closed with 1001, then 503", closes, true],
    ["lost", breaks, false],
    ["lost, then 503, with shouldRetry", breaks, true, { shouldRetry: () => true }],
  ]) {
    seen.push(`${name}, ${what}: ${await subscribe(WebSocket, ...how)}`);
    console.log(seen.at(-1));
  }
}
compare(seen, [
  "undici, closed with 1001: goes on, attempts: 2",
  "undici, closed with 1001, then 503: ends with an error event, attempts: 2",
  "undici, lost: ends with an error event, attempts: 1",
  "undici, lost, then 503, with shouldRetry: goes on, attempts: 3",
  "ws, closed with 1001: goes on, attempts: 2",
  "ws, closed with 1001, then 503: ends with an error event, attempts: 2",
  "ws, lost: goes on, attempts: 2",
  "ws, lost, then 503, with shouldRetry: goes on, attempts: 3",
]);
END
