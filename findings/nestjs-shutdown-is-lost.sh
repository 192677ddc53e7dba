#!/bin/sh
# nestjs-shutdown-is-lost: a Nest application that is closed in order drops its WebSockets without a close frame.
#
# Expected: `app.close()`, the graceful shutdown, closes open sockets with 1001, "going away", or 1012, "service restart".
# Seen:     Nest's adapter for ws ends each TCP connection, so that clients are told 1006, as after a crash. What a client
#           sends that is not JSON, or names an event that no gateway has, gets no answer and no line in the log.
# Matters:  clients cannot tell a deployment from a crash, nor whether their last message was read.
# Versions: @nestjs/core 12.5.1, @nestjs/platform-ws 12.1.1, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-12-01:
#   {"event":"hello"} is answered
#   {"event":"goodbye"} is not answered
#   hello is not answered
#   app.close(): the client is told 1006
. "$(dirname "$0")/tools.sh"
node_with @nestjs/core@12.5.1 @nestjs/common@12.5.1 @nestjs/websockets@12.1.1 @nestjs/platform-ws@12.1.1 \
    @nestjs/platform-express@12.5.1 reflect-metadata@0.2.2 rxjs@7.8.2 ws@8.23.0

run_node <<'END'
import "reflect-metadata";
import { once } from "node:events";
import { Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { WsAdapter } from "@nestjs/platform-ws";
import { SubscribeMessage, WebSocketGateway } from "@nestjs/websockets";
import ws from "ws";
import { compare, sleep, versions } from "./wire.mjs";

versions("@nestjs/core", "@nestjs/platform-ws", "ws");

class Greeter {
  hello() {
    return { event: "hello" };
  }
}
SubscribeMessage("hello")(Greeter.prototype, "hello", Object.getOwnPropertyDescriptor(Greeter.prototype, "hello"));
WebSocketGateway({ path: "/greet" })(Greeter);
class Application {}
Module({ providers: [Greeter] })(Application);

const app = await NestFactory.create(Application, { logger: ["error", "warn"] });
app.useWebSocketAdapter(new WsAdapter(app));
await app.listen(0, "127.0.0.1");
const client = new ws(`ws://127.0.0.1:${app.getHttpServer().address().port}/greet`);
await once(client, "open");
const seen = {};
let answers = 0;
client.on("message", () => answers++);
for (const message of ['{"event":"hello"}', '{"event":"goodbye"}', "hello"]) {
  const before = answers;
  client.send(message);
  await sleep(300);
  seen[message] = answers > before ? "answered" : "not answered";
  console.log(`${message} is ${seen[message]}`);
}
const closed = once(client, "close");
await app.close();
[seen["app.close()"]] = await closed;
console.log(`app.close(): the client is told ${seen["app.close()"]}`);
compare(seen, {
  '{"event":"hello"}': "answered", '{"event":"goodbye"}': "not answered", hello: "not answered", "app.close()": 1006,
});
END
