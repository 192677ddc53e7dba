#!/bin/sh
# crossws-proxy-lost-is-1000: behind crossws' proxy, a server takes each lost client for one that said goodbye.
#
# Expected: a proxy that loses its client drops its connection to the server, which sees 1006; a close code is passed on.
# Seen:     the server gets a close frame with 1000 for a client that was lost. In the other direction a lost server is 1011,
#           and a close frame without a code becomes 1000.
# Matters:  presence, sessions kept for those who come back, and counts of lost connections on the server all depend on
#           that code. Codes of your own, 3000 to 4999, do pass.
# Versions: crossws 0.4.17, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-30:
#   the client is lost:               directly 1006, through the proxy 1000
#   the client closes with 4001:      directly 4001, through the proxy 4001
#   the server is lost:               directly 1006, through the proxy 1011
#   the server closes without a code: directly 1005, through the proxy 1000
. "$(dirname "$0")/tools.sh"
node_with crossws@0.4.17 ws@8.23.0

run_node <<'END'
import { once } from "node:events";
import { createServer } from "node:http";
import { createWebSocketProxy } from "crossws";
import crossws from "crossws/adapters/node";
import ws from "ws";
import { codesThrough, compare, versions } from "./wire.mjs";

versions("crossws", "ws");

async function proxied(url) {
  const proxy = createServer();
  const hooks = createWebSocketProxy({ target: url, WebSocket: ws });
  proxy.on("upgrade", crossws({ hooks }).handleUpgrade);
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return `ws://127.0.0.1:${proxy.address().port}/`;
}

const ends = {
  "the client is lost": (client) => client.terminate(),
  "the client closes with 4001": (client) => client.close(4001),
  "the server is lost": (_, socket) => socket.terminate(),
  "the server closes without a code": (_, socket) => socket.close(),
};
compare(await codesThrough(proxied, ends), {
  "the client is lost": [1006, 1000],
  "the client closes with 4001": [4001, 4001],
  "the server is lost": [1006, 1011],
  "the server closes without a code": [1005, 1000],
});
END
