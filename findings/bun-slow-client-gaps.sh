#!/bin/sh
# bun-slow-client-gaps: Bun's server drops messages to a slow client in the middle of a stream, and goes on with later ones.
#
# Expected: what the client has not read yet is kept, as on ws, or the client is disconnected, as Bun's own option
#           `closeOnBackpressureLimit` has it.
# Seen:     once 16 MiB wait for a client, `backpressureLimit`, send() drops the message and returns 0. It throws nothing, logs
#           nothing, and the connection stays open: when the client has caught up, later messages arrive behind the gap.
# Matters:  a client that pauses for some seconds misses messages, and can only know if they are numbered. What send()
#           returns tells, but an empty message that was sent returns 0, too, and a broadcast seldom looks. Set
#           `closeOnBackpressureLimit: true`, so that the client comes back and asks anew.
# Versions: bun 1.4.4, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-12-01:
#   40 messages of 1 MiB to a client that does not read for a second, then "more" when it has read all
#   Bun:                           the client gets fewer than 30 of them, then "more"; send() returned 0 for the others
#   Bun, closeOnBackpressureLimit: the client gets fewer than 30 of them, then 1006
#   ws:                            the client gets 40 of them, then "more"
. "$(dirname "$0")/tools.sh"
node_with bun@1.4.4 ws@8.23.0

cat > bun.js <<'END'
const closeOnBackpressureLimit = process.argv[2] === "close";
const results = [];
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("no")),
  websocket: {
    closeOnBackpressureLimit,
    message(socket, text) {
      if (text === "go") for (let i = 0; i < 40; i++) results.push(socket.send(new Uint8Array(1 << 20).fill(i)));
      else socket.send(`more ${results.filter((result) => result === 0).length}`);
    },
  },
});
console.log(server.port);
END

run_node <<'END'
import { spawn } from "node:child_process";
import { once } from "node:events";
import WebSocket from "ws";
import { compare, serve, sleep, until, versions } from "./wire.mjs";

versions("bun", "ws");
console.log('40 messages of 1 MiB to a client that does not read for a second, then "more" when it has read all');

async function read(url) {
  const numbers = [];
  let end;
  const client = new WebSocket(url);
  client.on("message", (data, binary) => (binary ? numbers.push(data[0]) : (end = String(data))));
  client.on("close", (code) => (end ??= String(code)));
  client.on("error", () => {});
  await once(client, "open");
  client.pause();
  client.send("go");
  await sleep(1000);
  client.resume();
  for (let count = -1; count < numbers.length; await sleep(1000)) count = numbers.length;
  if (client.readyState === WebSocket.OPEN) client.send("more?");
  await until(() => end);
  client.terminate();
  const ordered = numbers.every((number, i) => number === i);
  const dropped = end.startsWith("more ") ? +end.slice(5) : null;
  return { numbers: numbers.length, ordered, end: end.split(" ")[0], dropped };
}

async function bun(option) {
  const server = spawn("node_modules/.bin/bun", ["bun.js", option], { stdio: ["ignore", "pipe", "inherit"] });
  const [port] = await once(server.stdout, "data");
  const seen = await read(`ws://127.0.0.1:${String(port).trim()}/`);
  server.kill();
  return seen;
}

const ws = await serve((socket) =>
  socket.on("message", (text) => {
    if (String(text) === "go") for (let i = 0; i < 40; i++) socket.send(Buffer.alloc(1 << 20, i));
    else socket.send("more 0");
  }),
);
const seen = { "Bun": await bun("keep"), "Bun, closeOnBackpressureLimit": await bun("close"), "ws": await read(ws.url) };
const shown = {};
for (const [name, { numbers, ordered, end, dropped }] of Object.entries(seen)) {
  const count = numbers < 30 ? "fewer than 30" : String(numbers);
  const others = dropped && dropped === 40 - numbers ? "; send() returned 0 for the others" : "";
  shown[name] = `the client gets ${count} of them, then ${end === "more" ? '"more"' : end}${others}${ordered ? "" : ", out of order"}`;
  console.log(`${name}:`.padEnd(30), shown[name]);
}
compare(shown, {
  "Bun": 'the client gets fewer than 30 of them, then "more"; send() returned 0 for the others',
  "Bun, closeOnBackpressureLimit": "the client gets fewer than 30 of them, then 1006",
  "ws": 'the client gets 40 of them, then "more"',
});
END
