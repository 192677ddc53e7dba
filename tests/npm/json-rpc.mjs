// A server of rpc-websockets on the port that it is given: a login, a method for those who did, an event for all of them.
import { Server } from "rpc-websockets";

const server = new Server({ port: Number(process.argv[2]), host: "127.0.0.1" });
server.setAuth(({ token }) => token === "right");
server.event("said");
server.register("say", ([number]) => {
  server.emit("said", number);
  return number;
}).protected();
process.on("SIGTERM", () => {
  server.close(); // which leaves those that are connected
  server.wss.clients.forEach(client => client.close());
});
