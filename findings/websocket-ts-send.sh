#!/bin/sh
# websocket-ts-send: websocket-ts drops what is sent while it is not connected, without an error.
#
# Expected: `send` before the socket is open raises InvalidStateError, as a browser's WebSocket does, or keeps the
#           message, as other wrappers do.
# Seen:     it returns, and the message is lost; while it reconnects, too. A buffer has to be asked for.
# Matters:  the first message of a page, "subscribe", usually comes right after the constructor.
# Versions: websocket-ts 2.3.0, undici 7.30.0, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-11-29:
#   send('at once') returns undefined, undici itself raises InvalidStateError
#   the server gets: [ 'when open' ]
. "$(dirname "$0")/tools.sh"
node_with websocket-ts@2.3.0 undici@7.30.0 ws@8.23.0

run_node <<'END'
import { WebSocket } from "undici";
import { WebsocketBuilder, WebsocketEvent } from "websocket-ts";
import { compare, serve, until, versions } from "./wire.mjs";

versions("websocket-ts", "undici", "ws");
globalThis.WebSocket = WebSocket;
const server = await serve();
const plain = new WebSocket(server.url);
let raised = "nothing";
try {
  plain.send("at once");
} catch (error) {
  raised = error.name;
}
const socket = new WebsocketBuilder(server.url).build();
const returned = socket.send("at once");
socket.addEventListener(WebsocketEvent.open, () => socket.send("when open"));
await until(() => server.messages.length > 0);
console.log(`send('at once') returns ${returned}, undici itself raises ${raised}`);
console.log("the server gets:", server.messages);
compare([returned, raised, server.messages], [undefined, "InvalidStateError", ["when open"]]);
END
