#!/bin/sh
# deno-lost-is-zero: Deno reports a lost connection with the close code 0, not 1006.
#
# Expected: a connection that ends without a close frame is 1006 (RFC 6455, section 7.1.5; the WebSocket standard of
#           browsers), as in Chromium, Node's ws and undici, and Bun.
# Seen:     after an `error` event, the close event has the code 0 and `wasClean` false, on Deno's client, and on its server
#           for a client that was lost.
# Matters:  `event.code === 1006` never holds there. What comes back after 1006, or counts the lost by it, does on Node and
#           Bun what it does in a browser, and nothing on Deno. Ask for `wasClean`.
# Versions: deno 2.9.6, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-30:
#   a client on Deno, the server is lost:        error, 0 wasClean false
#   a client on Deno, the server closes, 1001:   1001 wasClean true
#   a server on Deno, the client is lost:        error, 0 wasClean false
#   a server on Deno, the client closes, 4001:   4001 wasClean true
. "$(dirname "$0")/tools.sh"
node_with deno@2.9.6 ws@8.23.0
export DENO_DIR="$folder/deno" DENO_NO_UPDATE_CHECK=1

cat > ends.mjs <<'END'
const line = (event) => console.log(event.type === "error" ? "error" : `${event.code} wasClean ${event.wasClean}`);
const listen = (socket) => (socket.onerror = socket.onclose = line);
if (Deno.args.length) {
  listen(new WebSocket(Deno.args[0]));
} else {
  Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: ({ port }) => console.log(port) }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    listen(socket);
    return response;
  });
}
END

run_node <<'END'
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import ws from "ws";
import { compare, serve, versions } from "./wire.mjs";

versions("deno", "ws");
const running = [];
process.on("exit", () => running.forEach((one) => one.kill()));
function deno(...parameters) {
  const one = spawn("node_modules/.bin/deno", ["run", "--allow-net", "ends.mjs", ...parameters]);
  running.push(one);
  const lines = createInterface({ input: one.stdout })[Symbol.asyncIterator]();
  return async () => (await lines.next()).value;
}

// Return the events until the close, as one line.
async function events(next) {
  const seen = [await next()];
  while (seen.at(-1) === "error") seen.push(await next());
  return seen.join(", ");
}

const seen = [];
for (const end of ["terminate", "close"]) {
  const server = await serve((socket) => (end === "close" ? socket.close(1001) : socket.terminate()));
  seen.push(await events(deno(server.url)));
  server.stop();
}
const next = deno();
const port = await next();
for (const end of ["terminate", "close"]) {
  const socket = new ws(`ws://127.0.0.1:${port}/`);
  await once(socket, "open");
  end === "close" ? socket.close(4001) : socket.terminate();
  seen.push(await events(next));
}
console.log("a client on Deno, the server is lost:       ", seen[0]);
console.log("a client on Deno, the server closes, 1001:  ", seen[1]);
console.log("a server on Deno, the client is lost:       ", seen[2]);
console.log("a server on Deno, the client closes, 4001:  ", seen[3]);
compare(seen, ["error, 0 wasClean false", "1001 wasClean true", "error, 0 wasClean false", "4001 wasClean true"]);
END
