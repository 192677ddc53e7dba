#!/bin/sh
# rxjs-switch-reconnects: `switchMap` over topics of one RxJS webSocket opens a new connection for each topic.
#
# Expected: `multiplex` is for many topics on one connection. `choice.pipe(switchMap((topic) => socket.multiplex(...)))` sends
#           "unsubscribe" for the old topic and "subscribe" for the new one, on the connection that is open.
# Seen:     switchMap leaves the old topic before it subscribes to the new one. In between nobody subscribes to the socket, so
#           RxJS closes it, and opens another: a handshake, and a login, for each choice. With one more subscriber of the
#           socket, all is as expected.
# Matters:  a page that shows one room, chart or symbol at a time reconnects at each click; a server sees connections that last
#           seconds, and a limit for connections, or for handshakes, refuses such clients. Keep `socket.subscribe()` meanwhile.
# Versions: rxjs 7.8.2, undici 7.30.0, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-12-01:
#   switchMap from a to b to c
#     connection 1: subscribe a, unsubscribe a, closed
#     connection 2: subscribe b, unsubscribe b, closed
#     connection 3: subscribe c
#   the same beside socket.subscribe()
#     connection 1: subscribe a, unsubscribe a, subscribe b, unsubscribe b, subscribe c
. "$(dirname "$0")/tools.sh"
node_with rxjs@7.8.2 undici@7.30.0 ws@8.23.0

run_node <<'END'
import { Subject, switchMap } from "rxjs";
import { webSocket } from "rxjs/webSocket";
import { WebSocket } from "undici";
import { compare, serve, sleep, until, versions } from "./wire.mjs";

versions("rxjs", "undici", "ws");

async function run(beside) {
  const connections = [];
  const server = await serve((socket, number) => {
    const seen = (connections[number - 1] = []);
    socket.on("message", (data) => {
      const { op, topic } = JSON.parse(data);
      seen.push(`${op} ${topic}`);
      if (op === "subscribe") socket.send(JSON.stringify({ topic }));
    });
    socket.on("close", () => seen.push("closed"));
  });
  const socket = webSocket({ url: server.url, WebSocketCtor: WebSocket });
  const topic = (topic) =>
    socket.multiplex(
      () => ({ op: "subscribe", topic }),
      () => ({ op: "unsubscribe", topic }),
      (message) => message.topic === topic,
    );
  const choice = new Subject(), received = [];
  if (beside) socket.subscribe();
  choice.pipe(switchMap(topic)).subscribe((message) => received.push(message.topic));
  for (const name of ["a", "b", "c"]) {
    choice.next(name);
    await until(() => received.at(-1) === name);
  }
  await sleep(300);
  return connections.map((seen) => seen.join(", "));
}

const seen = [];
for (const beside of [false, true]) {
  console.log(beside ? "the same beside socket.subscribe()" : "switchMap from a to b to c");
  seen.push(await run(beside));
  seen.at(-1).forEach((line, i) => console.log(`  connection ${i + 1}: ${line}`));
}
compare(seen, [
  ["subscribe a, unsubscribe a, closed", "subscribe b, unsubscribe b, closed", "subscribe c"],
  ["subscribe a, unsubscribe a, subscribe b, unsubscribe b, subscribe c"],
]);
END
