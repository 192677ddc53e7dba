#!/bin/sh
# elysia-number-texts: Elysia hands a text message that looks like a number to its handler as a number.
#
# Expected: a text message is a string. Elysia parses JSON by itself, so `{"a":1}` may be an object; the rest stays text, and
#           a route that declares `body: t.String()` gets it.
# Seen:     all that JavaScript takes for a number becomes one, also what JSON does not allow: a handler that sends back what
#           it gets answers "007" with "7", "1e3" with "1000", and "0x10" with "16". With `t.String()` the same texts are
#           refused, since they are not strings. 20 digits stay text.
# Matters:  codes, phone numbers and keys that are all digits lose their zeros, and a chat does not show what was typed.
#           Tests with words pass. Have clients send JSON strings: `"007"` with its quotes arrives as 007.
# Versions: elysia 1.4.30, bun 1.4.4, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-30:
#   sent:                       007  1e3  0x10  12345678901234567890  seven  "007"
#   a handler without a schema: 7  1000  16  12345678901234567890  seven  007
#   body: t.String():           refused  refused  refused  12345678901234567890  seven  007
. "$(dirname "$0")/tools.sh"
node_with elysia@1.4.30 bun@1.4.4 ws@8.23.0

cat > server.mjs <<'END'
import { Elysia, t } from "elysia";
const app = new Elysia()
  .ws("/plain", { message: (socket, message) => void socket.send(message) })
  .ws("/string", { body: t.String(), message: (socket, message) => void socket.send(message) })
  .listen({ hostname: "127.0.0.1", port: 0 });
console.log(app.server.port);
END

run_node <<'END'
import { spawn } from "node:child_process";
import { once } from "node:events";
import ws from "ws";
import { compare, until, versions } from "./wire.mjs";

versions("elysia", "bun", "ws");
const server = spawn("node_modules/.bin/bun", ["server.mjs"], { stdio: ["ignore", "pipe", "inherit"] });
process.on("exit", () => server.kill());
const port = Number(String((await once(server.stdout, "data"))[0]));
const sent = ["007", "1e3", "0x10", "12345678901234567890", "seven", '"007"'];
const seen = {};
console.log("sent:".padEnd(27), sent.join("  "));
for (const [path, name] of [["plain", "a handler without a schema:"], ["string", "body: t.String():"]]) {
  const socket = new ws(`ws://127.0.0.1:${port}/${path}`);
  const got = [];
  socket.on("message", (data) => got.push(String(data).includes("Expected string") ? "refused" : String(data)));
  await once(socket, "open");
  for (const text of sent) socket.send(text);
  await until(() => got.length === sent.length);
  socket.terminate();
  seen[path] = got;
  console.log(name.padEnd(27), got.join("  "));
}
const refused = "refused", kept = ["12345678901234567890", "seven", "007"];
compare(seen, { plain: ["7", "1000", "16", ...kept], string: [refused, refused, refused, ...kept] });
END
