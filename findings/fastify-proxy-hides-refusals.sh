#!/bin/sh
# fastify-proxy-hides-refusals: behind @fastify/http-proxy, each refused WebSocket opens first, and closes with 1011.
#
# Expected: the answer of the server that refuses a handshake reaches the client: its status, Location and Retry-After.
# Seen:     the proxy has accepted the client before it asks the server. So the client opens, whatever the server says, and is
#           closed with 1011, the code of a server's mistake; neither the status nor the headers arrive. A server
#           that is not there looks the same.
# Matters:  a login that is refused with 401 looks like a passing fault, so clients come back forever; and as each attempt
#           has opened, those that wait longer after each failure begin anew, with the shortest pause. Let the application
#           accept, and close with a code such as 1008, which passes.
# Versions: @fastify/http-proxy 11.6.3, fastify 5.12.8, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-30:
#   the server answers 401 Unauthorized: directly 401; through the proxy open, then 1011
#   the server answers 503 Service Unavailable: directly 503; through the proxy open, then 1011
#   the server answers 308 Permanent Redirect: directly 308; through the proxy open, then 1011
. "$(dirname "$0")/tools.sh"
node_with @fastify/http-proxy@11.6.3 fastify@5.12.8 ws@8.23.0

run_node <<'END'
import { once } from "node:events";
import { createServer } from "node:http";
import proxy from "@fastify/http-proxy";
import Fastify from "fastify";
import ws from "ws";
import { compare, versions } from "./wire.mjs";

versions("@fastify/http-proxy", "fastify", "ws");

async function attempt(port) {
  const events = [];
  const client = new ws(`ws://127.0.0.1:${port}/`);
  client.on("open", () => events.push("open"));
  client.on("error", (error) => events.push(error.message.replace("Unexpected server response: ", "")));
  const code = await new Promise((resolve) => client.on("close", resolve));
  if (events[0] === "open") events.push(code);
  return events.join(", then ");
}

const seen = {};
for (const status of ["401 Unauthorized", "503 Service Unavailable", "308 Permanent Redirect"]) {
  const server = createServer();
  server.on("upgrade", (_, socket) => {
    socket.end(`HTTP/1.1 ${status}\r\nLocation: /there\r\nRetry-After: 60\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  const fastify = Fastify();
  await fastify.register(proxy, { upstream: `http://127.0.0.1:${port}`, websocket: true });
  await fastify.listen({ host: "127.0.0.1", port: 0 });
  seen[status] = [await attempt(port), await attempt(fastify.server.address().port)];
  console.log(`the server answers ${status}: directly ${seen[status][0]}; through the proxy ${seen[status][1]}`);
}
compare(seen, {
  "401 Unauthorized": ["401", "open, then 1011"],
  "503 Service Unavailable": ["503", "open, then 1011"],
  "308 Permanent Redirect": ["308", "open, then 1011"],
});
END
