#!/bin/sh
# rxjs-topic-is-not-shared: of two subscribers of one RxJS multiplex topic, the first that leaves ends it for the other.
#
# Expected: what `multiplex` returns is a topic of the socket. The first subscriber subscribes to it, the last one unsubscribes,
#           as the connection itself is shared.
# Seen:     each subscriber sends "subscribe" of its own, and "unsubscribe" when it leaves. A server with one subscription for a
#           topic and connection stops at the first "unsubscribe": the other subscriber gets nothing more, and no error.
# Matters:  two parts of a page show the same price; one is closed, and the other stands still, on a healthy connection.
#           `share()` the topic, and use that one everywhere.
# Versions: rxjs 7.8.2, undici 7.30.0, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-12-01:
#   two subscribers, the first one leaves; the server gets: subscribe, subscribe, unsubscribe
#   the second one gets: price 1, price 2
#   with share(), the server gets: subscribe
#   the second one gets: price 1, price 2, price 3, price 4
. "$(dirname "$0")/tools.sh"
node_with rxjs@7.8.2 undici@7.30.0 ws@8.23.0

run_node <<'END'
import { share } from "rxjs";
import { webSocket } from "rxjs/webSocket";
import { WebSocket } from "undici";
import { compare, serve, sleep, until, versions } from "./wire.mjs";

versions("rxjs", "undici", "ws");

async function run(...operators) {
  const asked = [];
  let subscribed = false, peer;
  const server = await serve((socket) => {
    peer = socket;
    socket.on("message", (data) => {
      const { op } = JSON.parse(data);
      asked.push(op);
      subscribed = op === "subscribe";
    });
  });
  const publish = async (price) => {
    if (subscribed) peer.send(JSON.stringify(`price ${price}`));
    await sleep(100);
  };
  const socket = webSocket({ url: server.url, WebSocketCtor: WebSocket });
  const topic = socket.multiplex(() => ({ op: "subscribe" }), () => ({ op: "unsubscribe" }), () => true).pipe(...operators);
  const received = [];
  const first = topic.subscribe();
  topic.subscribe((message) => received.push(message));
  await until(() => subscribed);
  await sleep(200);
  for (const price of [1, 2]) await publish(price);
  first.unsubscribe();
  await sleep(200);
  for (const price of [3, 4]) await publish(price);
  return { asked: asked.join(", "), received: received.join(", ") };
}

const alone = await run(), shared = await run(share());
console.log("two subscribers, the first one leaves; the server gets:", alone.asked);
console.log("the second one gets:", alone.received);
console.log("with share(), the server gets:", shared.asked);
console.log("the second one gets:", shared.received);
compare([alone, shared], [
  { asked: "subscribe, subscribe, unsubscribe", received: "price 1, price 2" },
  { asked: "subscribe", received: "price 1, price 2, price 3, price 4" },
]);
END
