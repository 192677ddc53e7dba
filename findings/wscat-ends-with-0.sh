#!/bin/sh
# wscat-ends-with-0: wscat in a pipe ends with 0, and says nothing, however the connection ends.
#
# Expected: the exit code of a tool that reads a stream tells a script whether the stream was complete: 0 after 1000, another
#           one after an error's code or a lost connection, with a line on stderr. So it is when the connection is refused.
# Seen:     0 after each end, and nothing on stderr. The line "Disconnected (code: 1011, ...)" is shown on a terminal only.
# Matters:  `wscat -c $URL > feed.log && archive feed.log` archives half a feed after a crash of the server, and a check of a
#           service by wscat is green while its handler fails. Have the server end with a message that says so.
# Versions: wscat 6.1.0, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-12-01:
#   the server sends a message, then closes with 1000: exit code 0, stdout "hello", stderr ""
#   the server sends a message, then closes with 1011: exit code 0, stdout "hello", stderr ""
#   the server sends a message, then is lost:          exit code 0, stdout "hello", stderr ""
#   the server refuses the connection with 503:        exit code 255, stdout "", stderr "error: Unexpected server response: 503"
. "$(dirname "$0")/tools.sh"
node_with wscat@6.1.0 ws@8.23.0

run_node <<'END'
import { spawn } from "node:child_process";
import { once } from "node:events";
import { compare, serve, sleep, versions } from "./wire.mjs";

versions("wscat", "ws");

async function run(end) {
  const options = end === 503 ? { verifyClient: (_, answer) => answer(false, 503) } : {};
  const server = await serve(async (socket) => {
    socket.send("hello");
    await sleep(300);
    if (end) socket.close(end);
    else socket.terminate();
  }, options);
  const wscat = spawn("node_modules/.bin/wscat", ["-c", server.url]); // its stdin stays open
  const streams = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"]) wscat[name].on("data", (data) => (streams[name] += data));
  const [code] = await once(wscat, "close");
  server.stop();
  return `exit code ${code}, stdout ${JSON.stringify(streams.stdout.trim())}, stderr ${JSON.stringify(streams.stderr.trim())}`;
}

const what = {
  1000: "the server sends a message, then closes with 1000:",
  1011: "the server sends a message, then closes with 1011:",
  lost: "the server sends a message, then is lost:",
  503: "the server refuses the connection with 503:",
};
const seen = {};
for (const end of [1000, 1011, "lost", 503]) {
  seen[end] = await run(end === "lost" ? null : end);
  console.log(what[end].padEnd(50), seen[end]);
}
const silent = 'exit code 0, stdout "hello", stderr ""';
const refused = 'exit code 255, stdout "", stderr "error: Unexpected server response: 503"';
compare(seen, { 1000: silent, 1011: silent, lost: silent, 503: refused });
END
