#!/bin/sh
# sarus-disconnect: Sarus connects again after disconnect(), if it was waiting to reconnect.
#
# Expected: disconnect() is the program's word: it ends the wait for the next attempt, and no connection is opened after it.
# Seen:     disconnect() closes the old socket, and leaves the timer of the next attempt running. A second later Sarus is
#           connected, and stays so. A server sees a client that its program takes for gone.
# Matters:  a page that the user has left, or who has logged out while the server restarted, has an open socket again.
# Versions: @anephenix/sarus 0.7.12, undici 7.30.0, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-12-01:
#   disconnect() while connected: 1 connection, 0 open after 2 s, the state is disconnected
#   disconnect() while waiting to reconnect: 2 connections, 1 open after 2 s, the state is connected
. "$(dirname "$0")/tools.sh"
node_with @anephenix/sarus@0.7.12 undici@7.30.0 ws@8.23.0

run_node <<'END'
import { WebSocket } from "undici";
import { compare, serve, sleep, until, versions } from "./wire.mjs";

globalThis.WebSocket = WebSocket;
const { default: Sarus } = await import("@anephenix/sarus");
versions("@anephenix/sarus", "undici", "ws");

// What is connected after disconnect(): at once, or when the server has closed the first connection with 1001.
async function after(closing) {
  const open = new Set();
  const server = await serve((socket, number) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    if (closing && number === 1) socket.close(1001);
  });
  const client = new Sarus({ url: server.url });
  let opened = false, closed = false;
  client.on("open", () => (opened = true));
  client.on("close", () => (closed = true));
  await until(() => opened && (closed || !closing));
  await sleep(100);
  client.disconnect();
  await sleep(2000);
  const seen = [server.connections, open.size, client.state.kind];
  server.stop();
  return seen;
}

const seen = {};
for (const [name, closing] of [["while connected", false], ["while waiting to reconnect", true]]) {
  seen[name] = await after(closing);
  const [connections, open, state] = seen[name];
  const counted = `${connections} connection${connections === 1 ? "" : "s"}`;
  console.log(`disconnect() ${name}: ${counted}, ${open} open after 2 s, the state is ${state}`);
}
compare(seen, { "while connected": [1, 0, "disconnected"], "while waiting to reconnect": [2, 1, "connected"] });
END
