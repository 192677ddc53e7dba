// For the findings that run in Node: a server on ws, versions, and the comparison with what was recorded.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import ws, { WebSocketServer } from "ws";

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Wait until the condition holds, at most for 10 s.
export async function until(condition) {
  for (let i = 0; i < 1000 && !condition(); i++) await sleep(10);
}

// A server on a port of its own; onSocket gets each socket and its number, counted from 1.
export async function serve(onSocket = () => {}, options = {}) {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, ...options });
  await once(server, "listening");
  const served = {
    url: `ws://127.0.0.1:${server.address().port}/`,
    connections: 0,
    messages: [],
    stop() {
      for (const socket of server.clients) socket.terminate();
      server.close();
    },
  };
  server.on("connection", (socket) => {
    const number = ++served.connections;
    socket.on("message", (data) => served.messages.push(String(data)));
    onSocket(socket, number);
  });
  return served;
}

// The close codes that one side is told of what the other does, directly and through a proxy. `proxied` puts one before the
// server of a URL, and gives its own URL; `ends` has what the client or the server does, by a name that says which.
export async function codesThrough(proxied, ends) {
  const sockets = [], codes = [];
  const server = await serve((socket) => {
    sockets.push(socket);
    socket.on("close", (code) => codes.push(code));
  });
  const urls = [server.url, await proxied(server.url)];
  const seen = {};
  for (const [name, end] of Object.entries(ends)) {
    seen[name] = [];
    for (const url of urls) {
      const told = [];
      const client = new ws(url);
      client.on("close", (code) => told.push(code));
      await once(client, "open");
      await until(() => sockets.length);
      end(client, sockets.pop());
      await until(() => told.length && codes.length);
      seen[name].push(name.startsWith("the client") ? codes.pop() : told.pop());
      codes.length = 0;
    }
    console.log(`${name}:`.padEnd(33), `directly ${seen[name][0]}, through the proxy ${seen[name][1]}`);
  }
  return seen;
}

// Print the versions that this run uses.
export function versions(...packages) {
  const installed = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`)).version;
  console.log(["Node " + process.version.slice(1), ...packages.map((name) => `${name} ${installed(name)}`)].join(", "));
}

// End the program: 0 if what was seen is what was recorded, else 1.
export function compare(seen, recorded) {
  if (isDeepStrictEqual(seen, recorded)) {
    console.log("As recorded.");
    process.exit(0);
  }
  console.log("The behavior has changed.\n  recorded:", recorded, "\n  seen:    ", seen);
  process.exit(1);
}
