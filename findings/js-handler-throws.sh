#!/bin/sh
# js-handler-throws: a WebSocket handler that throws leaves its client connected, to nobody, in four frameworks for Node.
#
# Expected: a handler that throws ends its connection, with 1011 or without a close frame, as a request that fails is answered
#           with 500. So it is with @fastify/websocket.
# Seen:     with Hono, express-ws, koa-websocket and websocket-express the socket stays open. Nobody listens to it any more, but
#           the library below answers pings. The server logs the error, or tells its error handler, which has no socket.
# Matters:  the client sees a healthy connection on which nothing comes, and no heartbeat helps it: it does not connect again.
#           Have each handler close with 1011 in a `catch`. A client needs a limit for silence, in rxws
#           `Backoff(stale_after=)`.
# Versions: hono 4.13.19 with @hono/node-server 2.1.9, express 5.3.0 with express-ws 5.0.2, koa 3.3.0 with koa-websocket 7.0.0,
#           websocket-express 4.0.1, fastify 5.12.8 with @fastify/websocket 11.3.7, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-30:
#   hono: open after 2 s, answers a ping
#   express-ws: open after 2 s, answers a ping
#   koa-websocket: open after 2 s, answers a ping
#   websocket-express: open after 2 s, answers a ping
#   @fastify/websocket: closed with 1006
. "$(dirname "$0")/tools.sh"
node_with hono@4.13.19 @hono/node-server@2.1.9 express@5.3.0 express-ws@5.0.2 koa@3.3.0 koa-websocket@7.0.0 \
    websocket-express@4.0.1 fastify@5.12.8 @fastify/websocket@11.3.7 ws@8.23.0

run_node <<'END'
import { once } from "node:events";
import fastifyWebsocket from "@fastify/websocket";
import { serve, upgradeWebSocket } from "@hono/node-server";
import express from "express";
import expressWs from "express-ws";
import fastify from "fastify";
import { Hono } from "hono";
import Koa from "koa";
import koaWebsocket from "koa-websocket";
import { WebSocketExpress } from "websocket-express";
import WebSocket, { WebSocketServer } from "ws";
import { compare, sleep, versions } from "./wire.mjs";

versions("hono", "@hono/node-server", "express-ws", "koa-websocket", "websocket-express", "@fastify/websocket", "ws");
const fail = (name) => {
  throw new Error(`a faulty handler in ${name}`);
};
console.error = () => {}; // most of them log the error there

// each returns the port of a server whose handler throws as soon as a client is there
const listening = async (server) => {
  if (!server.listening) await once(server, "listening");
  return server.address().port;
};
const servers = {
  "hono": () => {
    const app = new Hono();
    app.get("/", upgradeWebSocket(() => ({ onOpen: () => fail("hono") })));
    return listening(serve({ fetch: app.fetch, port: 0, websocket: { server: new WebSocketServer({ noServer: true }) } }));
  },
  "express-ws": () => {
    const app = express();
    expressWs(app);
    app.ws("/", () => fail("express-ws"));
    return listening(app.listen(0));
  },
  "koa-websocket": () => {
    const app = koaWebsocket(new Koa());
    app.ws.use(async () => fail("koa-websocket"));
    return listening(app.listen(0));
  },
  "websocket-express": () => {
    const app = new WebSocketExpress();
    app.ws("/", async (_, response) => {
      await response.accept();
      fail("websocket-express");
    });
    return listening(app.listen(0));
  },
  "@fastify/websocket": async () => {
    const app = fastify();
    await app.register(fastifyWebsocket);
    app.register(async (scope) => scope.get("/", { websocket: true }, async () => fail("@fastify/websocket")));
    await app.listen({ port: 0 });
    return app.server.address().port;
  },
};

const seen = {};
for (const [name, start] of Object.entries(servers)) {
  const socket = new WebSocket(`ws://127.0.0.1:${await start()}/`);
  const closed = once(socket, "close").then(([code]) => `closed with ${code}`);
  await once(socket, "open");
  const first = await Promise.race([closed, sleep(2000).then(() => "open after 2 s")]);
  if (first.startsWith("open")) socket.ping();
  const pong = first.startsWith("open") ? await Promise.race([once(socket, "pong").then(() => ", answers a ping"), closed]) : "";
  seen[name] = first + pong;
  console.log(`${name}: ${seen[name]}`);
  socket.terminate();
}
const open = "open after 2 s, answers a ping";
compare(Object.values(seen), [open, open, open, open, "closed with 1006"]);
END
