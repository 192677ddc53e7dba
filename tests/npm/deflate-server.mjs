// An echo server that compresses, of ws or of what runs it (bun), on a free port that it prints.
const say = port => console.log(JSON.stringify({ port }));

if (process.argv[2] === "ws") {
  const { WebSocketServer } = await import("ws");
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: true }, () => say(server.address().port));
  server.on("connection", socket => socket.on("message", (data, binary) => socket.send(data, { binary })));
} else {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request, it) => it.upgrade(request) ? undefined : new Response("", { status: 400 }),
    websocket: { perMessageDeflate: true, message: (socket, data) => { socket.send(data, true); } },
  });
  say(server.port);
}
