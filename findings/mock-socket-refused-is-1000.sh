#!/bin/sh
# mock-socket-refused-is-1000: a mock of mock-socket that finds no server closes with 1000, and says that it was clean.
#
# Expected: as in browsers, whose WebSocket it stands for: an `error` event, then `close` with 1006, `wasClean` false. The
#           reverse for a client's own close(4001), which the server answers: `wasClean` is true.
# Seen:     where no server listens, and where the server refuses the client, the code is 1000 and `wasClean` true. After
#           close(4001), and after a close frame of the server's, `wasClean` is false.
# Matters:  a test that shows how a page behaves while its server is down shows how it behaves after a goodbye: a page that
#           stays away after 1000 passes a test of its reconnecting, or fails one, for the wrong reason.
# Versions: mock-socket 9.3.1, undici 7.30.0, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-12-01:
#                            mock-socket                     undici
#   no server                error, 1000 wasClean true       error, 1006 wasClean false
#   the server refuses       error, 1000 wasClean true       error, 1006 wasClean false
#   close(4001)              4001 wasClean false             4001 wasClean true
#   the server closes, 1012  1012 wasClean false             1012 wasClean true
. "$(dirname "$0")/tools.sh"
node_with mock-socket@9.3.1 undici@7.30.0 ws@8.23.0

run_node <<'END'
import { Server, WebSocket as Mock } from "mock-socket";
import { WebSocket } from "undici";
import { compare, serve, until, versions } from "./wire.mjs";

versions("mock-socket", "undici", "ws");
console.error = () => {}; // mock-socket logs attempts that fail there

async function told(Socket, url, whenOpen = () => {}) {
  const events = [];
  const socket = new Socket(url);
  socket.onopen = () => whenOpen(socket);
  socket.onerror = () => events.push("error");
  let ended = false;
  socket.onclose = ({ code, wasClean }) => {
    events.push(`${code} wasClean ${wasClean}`);
    ended = true;
  };
  await until(() => ended);
  return events.join(", ");
}

const real = await serve((socket, number) => number === 2 && socket.close(1012));
const refusing = await serve(() => {}, { verifyClient: () => false });
const gone = await serve();
gone.stop();
const mock = (options, onConnection = () => {}) => {
  const url = `ws://127.0.0.1:${1000 + mock.count++}/`;
  new Server(url, { mock: false, ...options }).on("connection", onConnection);
  return url;
};
mock.count = 0;
const leave = (socket) => socket.close(4001);

const seen = {
  "no server": [await told(Mock, "ws://127.0.0.1:999/"), await told(WebSocket, gone.url)],
  "the server refuses": [await told(Mock, mock({ verifyClient: () => false })), await told(WebSocket, refusing.url)],
  "close(4001)": [await told(Mock, mock(), leave), await told(WebSocket, real.url, leave)],
  "the server closes, 1012": [
    await told(Mock, mock({}, (socket) => socket.close({ code: 1012, reason: "" }))),
    await told(WebSocket, real.url),
  ],
};
console.log("".padEnd(25) + "mock-socket".padEnd(31), "undici");
for (const [what, [mocked, without]] of Object.entries(seen)) console.log(what.padEnd(25) + mocked.padEnd(31), without);
compare(seen, {
  "no server": ["error, 1000 wasClean true", "error, 1006 wasClean false"],
  "the server refuses": ["error, 1000 wasClean true", "error, 1006 wasClean false"],
  "close(4001)": ["4001 wasClean false", "4001 wasClean true"],
  "the server closes, 1012": ["1012 wasClean false", "1012 wasClean true"],
});
END
