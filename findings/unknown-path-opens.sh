#!/bin/sh
# unknown-path-opens: with H3 and express-ws, a WebSocket to a path that does not exist opens.
#
# Expected: a server answers a WebSocket for an unknown path as it does a page: 404, and the client's attempt fails. Hono,
#           @fastify/websocket and websocket-express do.
# Seen:     express-ws accepts it with 101, and then closes without a code. H3 accepts it, too, with the plugin of crossws and
#           its documented `resolve`, and leaves it open: it answers pings, and nothing else. A page of the same path gets 404.
# Matters:  a client whose URL has a mistake, or whose route was renamed, is told that it is connected. With H3 it waits for
#           ever. With express-ws its attempt has succeeded, and the close looks polite: a client that comes back after lost
#           connections stays away. In `resolve`, return `.crossws ?? { upgrade: () => new Response("", { status: 404 }) }`.
#           In express-ws, end with `app.ws("/*path", (socket) => socket.close(4404))`.
# Versions: h3 2.0.8 with crossws 0.4.17, express 5.3.0 with express-ws 5.0.2, hono 4.13.19 with @hono/node-server 2.1.9,
#           fastify 5.12.8 with @fastify/websocket 11.3.7, websocket-express 4.0.1, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-30:
#   h3: opened, still open after 2 s, answers a ping; a page: 404
#   express-ws: opened, closed with 1005; a page: 404
#   hono: Unexpected server response: 404; a page: 404
#   @fastify/websocket: Unexpected server response: 404; a page: 404
#   websocket-express: Unexpected server response: 404; a page: 404
. "$(dirname "$0")/tools.sh"
node_with h3@2.0.8 crossws@0.4.17 express@5.3.0 express-ws@5.0.2 hono@4.13.19 @hono/node-server@2.1.9 fastify@5.12.8 \
    @fastify/websocket@11.3.7 websocket-express@4.0.1 ws@8.23.0

run_node <<'END'
import { once } from "node:events";
import fastifyWebsocket from "@fastify/websocket";
import { serve as serveHono, upgradeWebSocket } from "@hono/node-server";
import { plugin as crossws } from "crossws/server";
import express from "express";
import expressWs from "express-ws";
import fastify from "fastify";
import { H3, defineWebSocketHandler, serve as serveH3 } from "h3";
import { Hono } from "hono";
import { WebSocketExpress } from "websocket-express";
import WebSocket, { WebSocketServer } from "ws";
import { compare, sleep, versions } from "./wire.mjs";

versions("h3", "crossws", "express-ws", "hono", "@fastify/websocket", "websocket-express", "ws");

// each serves a WebSocket at /feed, and returns its port
const listening = async (server) => {
  if (!server.listening) await once(server, "listening");
  return server.address().port;
};
const servers = {
  "h3": async () => {
    const app = new H3();
    app.get("/feed", defineWebSocketHandler({}));
    const resolve = async (request) => (await app.fetch(request)).crossws;
    const server = serveH3(app, { port: 0, hostname: "127.0.0.1", silent: true, plugins: [crossws({ resolve })] });
    await server.ready();
    return new URL(server.url).port;
  },
  "express-ws": () => {
    const app = express();
    expressWs(app);
    app.ws("/feed", () => {});
    return listening(app.listen(0));
  },
  "hono": () => {
    const app = new Hono();
    app.get("/feed", upgradeWebSocket(() => ({})));
    return listening(serveHono({ fetch: app.fetch, port: 0, websocket: { server: new WebSocketServer({ noServer: true }) } }));
  },
  "@fastify/websocket": async () => {
    const app = fastify();
    await app.register(fastifyWebsocket);
    app.register(async (scope) => scope.get("/feed", { websocket: true }, () => {}));
    await app.listen({ port: 0 });
    return app.server.address().port;
  },
  "websocket-express": () => {
    const app = new WebSocketExpress();
    app.ws("/feed", (_, response) => response.accept());
    return listening(app.listen(0));
  },
};

// Return what a client sees that asks for another path.
async function asked(port) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/fed`);
  const lines = [];
  const ended = new Promise((resolve) => {
    socket.on("error", (error) => resolve(error.message));
    socket.on("close", (code) => resolve(`closed with ${code}`));
  });
  socket.on("open", () => lines.push("opened"));
  lines.push(await Promise.race([ended, sleep(2000).then(() => "still open after 2 s")]));
  if (socket.readyState === WebSocket.OPEN) {
    socket.ping();
    await once(socket, "pong");
    lines.push("answers a ping");
  }
  socket.terminate();
  return lines.join(", ");
}

const seen = {};
for (const [name, start] of Object.entries(servers)) {
  const port = await start();
  const page = (await fetch(`http://127.0.0.1:${port}/fed`)).status;
  seen[name] = `${await asked(port)}; a page: ${page}`;
  console.log(`${name}: ${seen[name]}`);
}
const refused = "Unexpected server response: 404; a page: 404";
compare(Object.values(seen), [
  "opened, still open after 2 s, answers a ping; a page: 404",
  "opened, closed with 1005; a page: 404",
  refused,
  refused,
  refused,
]);
END
