#!/bin/sh
# msw-send-then-close: with MSW between a page and its server, what is sent right before close() is lost, and the code, too.
#
# Expected: MSW with `server.connect()` passes on what both sides send, as its documents say; a test meets the real server.
# Seen:     of three messages and close(4001), on a connection that has been open for half a second, the server gets nothing,
#           and an empty close frame, 1005. Without MSW it gets all. With a pause of 100 ms before close(), it gets the messages.
# Matters:  "save, and leave" fails in tests, and works in production; and what depends on the close code, such as a logout that
#           is no lost connection, cannot be tested. Let the page wait for an answer, or test against the server alone.
# Versions: msw 2.15.0 (3.0.5, on Node 26.10.0, is the same), undici 7.30.0, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-12-01:
#   undici alone, close(4001) at once:         the server gets a, b, c, 4001
#   undici alone, close(4001) 100 ms later:    the server gets a, b, c, 4001
#   undici with MSW, close(4001) at once:      the server gets 1005
#   undici with MSW, close(4001) 100 ms later: the server gets a, b, c, 1005
. "$(dirname "$0")/tools.sh"
node_with msw@2.15.0 undici@7.30.0 ws@8.23.0

run_node <<'END'
import { once } from "node:events";
import { ws } from "msw";
import { setupServer } from "msw/node";
import { WebSocket } from "undici";
import { compare, serve, sleep, until, versions } from "./wire.mjs";

versions("msw", "undici", "ws");
globalThis.WebSocket = WebSocket;

async function run(pause) {
  const got = [];
  let code;
  const server = await serve((socket) => {
    socket.on("message", (data) => got.push(String(data)));
    socket.on("close", (closed) => (code = closed));
  });
  const page = new globalThis.WebSocket(server.url);
  await once(page, "open");
  await sleep(500);
  for (const message of ["a", "b", "c"]) page.send(message);
  if (pause) await sleep(pause);
  page.close(4001);
  await until(() => code);
  server.stop();
  return [...got, code].join(", ");
}

const seen = {};
for (const name of ["undici alone", "undici with MSW"]) {
  const passing = setupServer(ws.link(/127/).addEventListener("connection", ({ server }) => server.connect()));
  if (name.includes("MSW")) passing.listen();
  for (const [when, pause] of [["at once", 0], ["100 ms later", 100]]) {
    const key = `${name}, close(4001) ${when}:`;
    seen[key] = await run(pause);
    console.log(key.padEnd(42), `the server gets ${seen[key]}`);
  }
}
compare(Object.values(seen), ["a, b, c, 4001", "a, b, c, 4001", "1005", "a, b, c, 1005"]);
END
