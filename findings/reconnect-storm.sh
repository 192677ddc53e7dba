#!/bin/sh
# reconnect-storm: a server that opens sockets and closes them with 1013, "try again later", is stormed by three clients.
#
# Expected: a client that the server sends away waits longer after each time, at least for 1013, the code that asks it to.
# Seen:     SignalR, phoenix and tRPC begin their back-off anew when a connection has opened, whatever ended it, and
#           however soon. So they come back dozens of times a second for as long as the server sends them away. Refused
#           with 503 in the handshake, they wait longer each time.
# Matters:  a server that sheds load by closing gets more of it, a handshake each: a hundred such clients connect
#           thousands of times a second.
# Versions: @microsoft/signalr 10.0.11, phoenix 1.8.16, @trpc/client 11.25.2, ws 8.23.0; Node 20.20.2
#
# Printed on 2026-12-01:
#   SignalR, closed with 1013:    in 2 s, over 20 connections
#   SignalR, refused with 503:    in 2 s, under 10 connections
#   phoenix, closed with 1013:    in 2 s, over 20 connections
#   phoenix, refused with 503:    in 2 s, under 10 connections
#   @trpc/client, closed with 1013: in 2 s, over 20 connections
#   @trpc/client, refused with 503: in 2 s, under 10 connections
. "$(dirname "$0")/tools.sh"
node_with @microsoft/signalr@10.0.11 phoenix@1.8.16 @trpc/client@11.25.2 @trpc/server@11.25.2 typescript@5.9.3 ws@8.23.0

run_node <<'END'
import * as signalr from "@microsoft/signalr";
import { Socket } from "phoenix";
import { createTRPCClient, createWSClient, wsLink } from "@trpc/client";
import WebSocket from "ws";
import { compare, serve, sleep, versions } from "./wire.mjs";

versions("@microsoft/signalr", "phoenix", "@trpc/client", "ws");
globalThis.WebSocket = WebSocket;
process.on("unhandledRejection", () => {}); // what the clients report of each closed connection

const clients = {
  SignalR: (url) => {
    const builder = new signalr.HubConnectionBuilder().configureLogging(signalr.LogLevel.None).withAutomaticReconnect();
    const transport = signalr.HttpTransportType.WebSockets;
    builder.withUrl(url.replace("ws", "http"), { skipNegotiation: true, transport, WebSocket }).build().start();
  },
  phoenix: (url) => new Socket(url, { transport: WebSocket }).connect(),
  "@trpc/client": (url) => {
    const link = wsLink({ client: createWSClient({ url, WebSocket }) });
    createTRPCClient({ links: [link] }).news.subscribe(undefined, { onError() {} });
  },
};
const seen = {};
for (const [name, connect] of Object.entries(clients)) {
  for (const [what, refuses] of [["closed with 1013", false], ["refused with 503", true]]) {
    let attempts = 0;
    const verifyClient = (_, answer) => answer(++attempts === 1 || !refuses, 503);
    const server = await serve((socket) => {
      socket.once("message", () => name === "SignalR" && socket.send("{}\x1e")); // its handshake
      setTimeout(() => socket.close(1013), 10);
    }, { verifyClient });
    connect(server.url);
    await sleep(2000);
    server.stop();
    seen[`${name}, ${what}`] = attempts > 20 ? "over 20" : attempts < 10 ? "under 10" : `${attempts}`;
    console.log(`${name}, ${what}:`.padEnd(31), `in 2 s, ${seen[`${name}, ${what}`]} connections`);
  }
}
compare(seen, Object.fromEntries(Object.keys(clients).flatMap((name) => [
  [`${name}, closed with 1013`, "over 20"],
  [`${name}, refused with 503`, "under 10"],
])));
END
