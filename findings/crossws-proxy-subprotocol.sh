#!/bin/sh
# crossws-proxy-subprotocol: crossws' proxy answers the client's first subprotocol before its server has chosen another.
#
# Expected: a proxy passes on the subprotocol that the server behind it accepted: that is the one that both ends speak.
# Seen:     `createWebSocketProxy` accepts the first one offered, and only then connects to the server, with all of them. The
#           server takes the second. The client was told "chat.v2", and the server speaks "chat.v1".
# Matters:  to offer the newer protocol first is what clients do, so the client fails at the first message as soon as it
#           is newer than the server; without the proxy it works. Pass `forwardProtocol` with the one that the server
#           speaks, or have clients offer one alone.
# Versions: crossws 0.4.17, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-30:
#   directly:      the client speaks chat.v1, the server chat.v1
#   through proxy: the client speaks chat.v2, the server chat.v1
. "$(dirname "$0")/tools.sh"
node_with crossws@0.4.17 ws@8.23.0

run_node <<'END'
import { once } from "node:events";
import { createServer } from "node:http";
import { createWebSocketProxy } from "crossws";
import crossws from "crossws/adapters/node";
import ws from "ws";
import { compare, serve, until, versions } from "./wire.mjs";

versions("crossws", "ws");
const spoken = [];
const server = await serve((socket) => spoken.push(socket.protocol), {
  handleProtocols: (offered) => offered.has("chat.v1") && "chat.v1",
});
const proxy = createServer();
const hooks = createWebSocketProxy({ target: server.url, WebSocket: ws });
proxy.on("upgrade", crossws({ hooks }).handleUpgrade);
proxy.listen(0, "127.0.0.1");
await once(proxy, "listening");

const seen = {};
for (const [way, url] of [["directly", server.url], ["through proxy", `ws://127.0.0.1:${proxy.address().port}/`]]) {
  const socket = new ws(url, ["chat.v2", "chat.v1"]);
  await once(socket, "open");
  await until(() => spoken.length);
  seen[way] = [socket.protocol, spoken.pop()];
  console.log(`${way}:`.padEnd(14), `the client speaks ${seen[way][0]}, the server ${seen[way][1]}`);
  socket.terminate();
}
compare(seen, { directly: ["chat.v1", "chat.v1"], "through proxy": ["chat.v2", "chat.v1"] });
END
