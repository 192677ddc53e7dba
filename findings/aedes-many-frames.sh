#!/bin/sh
# aedes-many-frames: over a WebSocket, Aedes sends each field of an MQTT packet in a frame of its own.
#
# Expected: a frame for each packet, or for several of them, as amqtt sends it.
# Seen:     a CONNACK, four bytes, is four frames; a PUBLISH is five: its type, its length, the length of the topic, the
#           topic, the payload. It is how the stream of `ws`, which Aedes is given, passes on each write.
# Matters:  MQTT allows it (3.1.1, 6.0), but a client that takes a frame for a packet fails with its first one, and whatever
#           counts messages, limits their rate, or shows them, counts five for one.
# Versions: aedes 1.2.0, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-12-01:
#   CONNACK: 20 | 02 | 00 | 00
#   SUBACK:  90 | 03 | 00 01 | 00
#   PUBLISH: 30 | 09 | 00 04 | 6e 65 77 73 | 6f 6e 65
. "$(dirname "$0")/tools.sh"
node_with aedes@1.2.0 ws@8.23.0

run_node <<'END'
import { once } from "node:events";
import { Aedes } from "aedes";
import ws, { createWebSocketStream, WebSocketServer } from "ws";
import { compare, sleep, versions } from "./wire.mjs";

versions("aedes", "ws");

const broker = await Aedes.createBroker();
const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
server.on("connection", (socket, request) => broker.handle(createWebSocketStream(socket), request));
await once(server, "listening");

const client = new ws(`ws://127.0.0.1:${server.address().port}/`, ["mqtt"]);
await once(client, "open");
let frames = [];
client.on("message", (data) => frames.push(data.toString("hex").replace(/(..)(?=.)/g, "$1 ")));

// Send one packet, and return the frames of the answer.
async function answer(packet) {
  frames = [];
  client.send(packet);
  await sleep(1000);
  return frames.join(" | ");
}

const text = (value) => [0, value.length, ...Buffer.from(value)];
const packet = (type, ...body) => Buffer.from([type, body.length, ...body]);
const seen = {
  CONNACK: await answer(packet(0x10, ...text("MQTT"), 4, 2, 0, 60, ...text("me"))),
  SUBACK: await answer(packet(0x82, 0, 1, ...text("news"), 0)),
  PUBLISH: await answer(packet(0x30, ...text("news"), ...Buffer.from("one"))),
};
for (const [name, what] of Object.entries(seen)) console.log(`${name}:`.padEnd(8), what);
compare(seen, {
  CONNACK: "20 | 02 | 00 | 00",
  SUBACK: "90 | 03 | 00 01 | 00",
  PUBLISH: "30 | 09 | 00 04 | 6e 65 77 73 | 6f 6e 65",
});
END
