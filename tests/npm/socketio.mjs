// A socket.io server on the port that it is given: it sends each event back, and notes it in the file that it is given.
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";
import { Server } from "socket.io";

const [port, journal] = process.argv.slice(2);
const server = createServer();
const io = new Server(server, { pingInterval: 200, pingTimeout: 400, transports: ["websocket"] });
io.on("connection", (socket) =>
  socket.on("echo", (first, second) => {
    appendFileSync(journal, `${first}-${second}\n`);
    socket.emit("echo", second, first);
  }),
);
process.on("SIGTERM", () => io.close());
server.listen(Number(port), "127.0.0.1");
