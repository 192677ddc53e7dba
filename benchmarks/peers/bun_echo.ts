// Bun: its own WebSocket server, which is uWebSockets. It prints its port.
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    if (!server.upgrade(request)) return new Response("a WebSocket, please", { status: 426 });
  },
  websocket: {
    maxPayloadLength: 2 ** 24,
    perMessageDeflate: false,
    message(ws, message) {
      ws.send(message);
    },
  },
});
console.log(server.port);
