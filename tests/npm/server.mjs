// An echo server of Node's ws, on a free port that it prints.
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ port: 0, host: "127.0.0.1" }, () => {
  console.log(JSON.stringify({ port: server.address().port }));
});
server.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  socket.on("error", () => {});
});
