#!/bin/sh
# reconnecting-login-is-late: after a reconnect, two clients send what they kept before the login of the open handler.
#
# Expected: a handler of `open` that sends a login on each connection sends the first message there. With @nktkas/rews, it does.
# Seen:     what the program sent while there was no connection goes out first, and `open` is emitted behind it. On the first
#           connection, where nothing waits, the login is first.
# Matters:  a server that wants the login first closes such a client, but only when it was busy while its connection was lost.
# Versions: @nktkas/rews 4.1.0, reconnecting-websocket 4.4.0, partysocket 1.3.0, undici 7.30.0, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-12-01:
#   @nktkas/rews: first login, then login, order
#   reconnecting-websocket: first login, then order, login
#   partysocket: first login, then order, login
. "$(dirname "$0")/tools.sh"
node_with @nktkas/rews@4.1.0 reconnecting-websocket@4.4.0 partysocket@1.3.0 undici@7.30.0 ws@8.23.0

run_node <<'END'
import { ReconnectingWebSocket as Rews } from "@nktkas/rews";
import { WebSocket as PartySocket } from "partysocket";
import Reconnecting from "reconnecting-websocket";
import { WebSocket } from "undici";
import { compare, serve, until, versions } from "./wire.mjs";

globalThis.WebSocket = WebSocket;
versions("@nktkas/rews", "reconnecting-websocket", "partysocket", "undici", "ws");

const CLIENTS = {
  "@nktkas/rews": Rews,
  "reconnecting-websocket": Reconnecting.default ?? Reconnecting,
  partysocket: PartySocket,
};
const seen = {};
for (const [name, Client] of Object.entries(CLIENTS)) {
  const arrived = { 1: [], 2: [] };
  const server = await serve((socket, number) => {
    socket.on("message", (message) => {
      arrived[number].push(String(message));
      if (number === 1) socket.close(1012);
    });
  });
  const client = new Client(server.url, [], { WebSocket });
  let ordered = false;
  client.addEventListener("open", () => client.send("login"));
  client.addEventListener("close", () => {
    if (!ordered) client.send("order");
    ordered = true;
  });
  await until(() => arrived[2].length === 2);
  seen[name] = arrived;
  console.log(`${name}: first ${arrived[1].join(", ")}, then ${arrived[2].join(", ")}`);
  client.close();
  server.stop();
}
const late = { 1: ["login"], 2: ["order", "login"] };
compare(seen, {
  "@nktkas/rews": { 1: ["login"], 2: ["login", "order"] },
  "reconnecting-websocket": late,
  partysocket: late,
});
END
