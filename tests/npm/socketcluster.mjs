// A SocketCluster server on the port that it is given: channels, its own pings, and its own polite end on SIGTERM.
import http from "node:http";
import socketCluster from "socketcluster-server";

const server = http.createServer();
const cluster = socketCluster.attach(server, { protocolVersion: 2, pingInterval: 200, pingTimeout: 2000 });
process.on("SIGTERM", async () => {
  server.close();
  await cluster.close();
});
server.listen(Number(process.argv[2]), "127.0.0.1");
