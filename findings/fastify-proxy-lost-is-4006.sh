#!/bin/sh
# fastify-proxy-lost-is-4006: @fastify/http-proxy reports a lost connection with 4006, a code of the application.
#
# Expected: a proxy that loses one side drops the other, which sees 1006; an empty close frame stays one.
# Seen:     the proxy adds 3000 to the codes that no one may send: what is 1006 at one side is a close frame with 4006 at the
#           other, and no code is 4005. Real codes, such as 1012 and 4001, pass unchanged.
# Matters:  4000 to 4999 belong to applications, and many clients take them for a verdict, after which they do not come back:
#           here they stay away after a crash of the server, the very case for which they reconnect. An application that uses
#           4005 or 4006 itself cannot tell its own from these.
# Versions: @fastify/http-proxy 11.6.3, fastify 5.12.8, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-30:
#   the server is lost:               directly 1006, through the proxy 4006
#   the server closes without a code: directly 1005, through the proxy 4005
#   the server closes with 1012:      directly 1012, through the proxy 1012
#   the client is lost:               directly 1006, through the proxy 4006
#   the client closes without a code: directly 1005, through the proxy 4005
#   the client closes with 4001:      directly 4001, through the proxy 4001
. "$(dirname "$0")/tools.sh"
node_with @fastify/http-proxy@11.6.3 fastify@5.12.8 ws@8.23.0

run_node <<'END'
import proxy from "@fastify/http-proxy";
import Fastify from "fastify";
import { codesThrough, compare, versions } from "./wire.mjs";

versions("@fastify/http-proxy", "fastify", "ws");

async function proxied(url) {
  const fastify = Fastify();
  await fastify.register(proxy, { upstream: url.replace("ws:", "http:"), websocket: true });
  await fastify.listen({ host: "127.0.0.1", port: 0 });
  return `ws://127.0.0.1:${fastify.server.address().port}/`;
}

const ends = {
  "the server is lost": (_, socket) => socket.terminate(),
  "the server closes without a code": (_, socket) => socket.close(),
  "the server closes with 1012": (_, socket) => socket.close(1012),
  "the client is lost": (client) => client.terminate(),
  "the client closes without a code": (client) => client.close(),
  "the client closes with 4001": (client) => client.close(4001),
};
compare(await codesThrough(proxied, ends), {
  "the server is lost": [1006, 4006],
  "the server closes without a code": [1005, 4005],
  "the server closes with 1012": [1012, 1012],
  "the client is lost": [1006, 4006],
  "the client closes without a code": [1005, 4005],
  "the client closes with 4001": [4001, 4001],
});
END
