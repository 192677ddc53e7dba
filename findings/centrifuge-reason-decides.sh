#!/bin/sh
# centrifuge-reason-decides: whether centrifuge-js comes back after a close depends on its reason, not on the code alone.
#
# Expected: the codes decide, as its protocol says: after 3500 to 3999 and 4500 to 4999 the client stays away, after all
#           others it comes back. A reason is for people to read.
# Seen:     without a reason no code keeps it away. A reason that is JSON is taken for an order to stay away: a mere number
#           is, so after 1012 "30" the client is gone for good. With other words the code decides.
# Matters:  a server or gateway that closes with 4501 and nothing else is called again and again by the clients that it has
#           banned, and a restart that is explained by a number loses all of them. Close with words.
# Versions: centrifuge 5.7.4, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-30:
#   closed with 4501 "": it comes back
#   closed with 4501 "banned": it stays away
#   closed with 3500 "": it comes back
#   closed with 3500 "invalid token": it stays away
#   closed with 1012 "": it comes back
#   closed with 1012 "restart": it comes back
#   closed with 1012 "30": it stays away
. "$(dirname "$0")/tools.sh"
node_with centrifuge@5.7.4 ws@8.23.0

run_node <<'END'
import { Centrifuge } from "centrifuge";
import ws from "ws";
import { compare, serve, sleep, until, versions } from "./wire.mjs";

versions("centrifuge", "ws");

async function after(code, reason) {
  const server = await serve((socket, number) => {
    socket.on("message", (data) => {
      const { id, connect } = JSON.parse(data);
      if (!connect) return;
      socket.send(JSON.stringify({ id, connect: { client: "test", version: "1" } }));
      if (number === 1) socket.close(code, reason);
    });
  });
  const client = new Centrifuge(server.url, { websocket: ws, minReconnectDelay: 50, maxReconnectDelay: 100 });
  let disconnected = false;
  client.on("disconnected", () => { disconnected = true; });
  client.connect();
  await until(() => disconnected || server.connections > 1);
  await sleep(1000); // for those that would do both
  const what = disconnected ? "stays away" : "comes back";
  client.disconnect();
  server.stop();
  return what;
}

const closes = [[4501, ""], [4501, "banned"], [3500, ""], [3500, "invalid token"], [1012, ""], [1012, "restart"], [1012, "30"]];
const seen = [];
for (const [code, reason] of closes) {
  seen.push(await after(code, reason));
  console.log(`closed with ${code} ${JSON.stringify(reason)}: it ${seen.at(-1)}`);
}
compare(seen, ["comes back", "stays away", "comes back", "stays away", "comes back", "comes back", "stays away"]);
END
