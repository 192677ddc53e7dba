#!/bin/sh
# rpc-lost-calls: a call that waits in four RPC clients never ends when its connection is lost.
#
# Expected: once the connection has ended, no answer can come; each call that waits for one fails.
# Seen:     rpc-websockets, jayson, Open RPC's client and Autobahn for JavaScript learn of the end, as their events show, and
#           leave the call alone: its promise is neither fulfilled nor rejected. It is the same when the server closes with
#           1011. None of them has a time limit by default. websocket-as-promised and wampy let it fail.
# Matters:  `await client.call()` hangs forever after each restart of a server, and so does the function around it. Give each
#           call a time limit of its own: the third argument in rpc-websockets, `timeout` in jayson, the second argument of
#           Open RPC's `request`, a race with a timer for Autobahn.
# Versions: rpc-websockets 10.0.1, jayson 5.0.0, @open-rpc/client-js 2.1.0, autobahn 26.3.1, websocket-as-promised 3.0.1,
#           wampy 8.0.2, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-30:
#   rpc-websockets:        lost: the call waits; closed with 1011: the call waits
#   jayson:                lost: the call waits; closed with 1011: the call waits
#   Open RPC:              lost: the call waits; closed with 1011: the call waits
#   Autobahn:              lost: the call waits; closed with 1011: the call waits
#   websocket-as-promised: lost: the call fails; closed with 1011: the call fails
#   wampy:                 lost: the call fails; closed with 1011: the call fails
. "$(dirname "$0")/tools.sh"
node_with rpc-websockets@10.0.1 jayson@5.0.0 @open-rpc/client-js@2.1.0 autobahn@26.3.1 websocket-as-promised@3.0.1 \
    wampy@8.0.2 ws@8.23.0

run_node <<'END'
import { once } from "node:events";
import { createRequire } from "node:module";
import ws from "ws";
import { compare, serve, sleep, until, versions } from "./wire.mjs";

const require = createRequire(import.meta.url);
globalThis.WebSocket = ws;
console.warn = () => {}; // Autobahn says there that it gives up
const { Client } = require("rpc-websockets");
const jayson = require("jayson");
const autobahn = require("autobahn");
const Promised = require("websocket-as-promised");
const openRpc = await import("@open-rpc/client-js");
const { Wampy } = await import("wampy");
versions("rpc-websockets", "jayson", "@open-rpc/client-js", "autobahn", "websocket-as-promised", "wampy", "ws");

// Each makes a client, calls `told()` when that reports the end, and returns a call.
const clients = {
  async "rpc-websockets"(url, told) {
    const client = new Client(url, { reconnect: false });
    client.on("close", told);
    await once(client, "open");
    return client.call("work", [1]);
  },
  async jayson(url, told) {
    const client = jayson.client.websocket({ url });
    client.ws.on("close", told);
    await once(client.ws, "open");
    return new Promise((resolve, reject) => {
      client.request("work", [1], (error, answer) => (error ? reject(error) : resolve(answer)));
    });
  },
  async "Open RPC"(url, told) {
    const transport = new openRpc.WebSocketTransport(url);
    transport.connection.addEventListener("close", told);
    return new openRpc.Client(new openRpc.RequestManager([transport])).request({ method: "work", params: [1] });
  },
  async Autobahn(url, told) {
    const connection = new autobahn.Connection({ url, realm: "test", max_retries: 0 });
    const session = await new Promise((resolve) => {
      connection.onopen = resolve;
      connection.onclose = told;
      connection.open();
    });
    return session.call("work", [1]);
  },
  async "websocket-as-promised"(url, told) {
    const client = new Promised(url, {
      createWebSocket: (address) => new ws(address),
      extractMessageData: (event) => event,
      packMessage: JSON.stringify,
      unpackMessage: JSON.parse,
      attachRequestId: (data, id) => ({ ...data, id }),
      extractRequestId: (data) => data.id,
    });
    client.onClose.addListener(told);
    await client.open();
    return client.sendRequest({ method: "work" });
  },
  async wampy(url, told) {
    const client = new Wampy(url, { realm: "test", ws, autoReconnect: false, onClose: told });
    await client.connect();
    return client.call("work", [1]);
  },
};

async function tell(make, end) {
  const server = await serve(
    (socket) =>
      socket.on("message", (data) => {
        const hello = JSON.parse(data)[0] === 1; // WAMP begins with HELLO and WELCOME
        if (hello) socket.send(JSON.stringify([2, 1, { roles: { broker: {}, dealer: {} } }]));
        else end(socket);
      }),
    { handleProtocols: (offered) => ["wamp.2.json"].find((name) => offered.has(name)) },
  );
  let ended = false, call = "waits";
  make(server.url, () => { ended = true; }).then(
    () => { call = "has an answer"; },
    () => { call = "fails"; },
  );
  await until(() => ended);
  await sleep(2000);
  server.stop();
  return ended ? `the call ${call}` : "no end is reported";
}

const seen = {};
for (const [name, make] of Object.entries(clients)) {
  seen[name] = await Promise.all([
    tell(make, (socket) => socket.terminate()),
    tell(make, (socket) => socket.close(1011)),
  ]);
  console.log(`${name}:`.padEnd(22), `lost: ${seen[name][0]}; closed with 1011: ${seen[name][1]}`);
}
const waits = Array(2).fill("the call waits");
const fails = Array(2).fill("the call fails");
compare(seen, {
  "rpc-websockets": waits,
  jayson: waits,
  "Open RPC": waits,
  Autobahn: waits,
  "websocket-as-promised": fails,
  wampy: fails,
});
END
