// A chat over graphql-ws: `say` appends to a file, `said(after)` emits its lines from there on, then what is said next.
// It notes in another file what comes, a JSON line each; SIGTERM ends it as graphql-ws ends servers.
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { GraphQLInt, GraphQLNonNull, GraphQLObjectType, GraphQLSchema, GraphQLString } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import { WebSocketServer } from "ws";

const [port, file, journal] = process.argv.slice(2);
const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : [];
const waiting = new Set();
let connections = 0;

const text = { type: new GraphQLNonNull(GraphQLString) };
const chat = new GraphQLSchema({
  query: new GraphQLObjectType({ name: "Query", fields: { last: { ...text, resolve: () => lines.at(-1) ?? "" } } }),
  mutation: new GraphQLObjectType({
    name: "Mutation",
    fields: {
      say: {
        ...text,
        args: { line: text },
        resolve: (_, { line }) => {
          appendFileSync(file, `${line}\n`);
          lines.push(line);
          waiting.forEach(wake => wake());
          waiting.clear();
          return line;
        },
      },
    },
  }),
  subscription: new GraphQLObjectType({
    name: "Subscription",
    fields: {
      said: {
        ...text,
        args: { after: { type: new GraphQLNonNull(GraphQLInt) } },
        resolve: line => line,
        subscribe: async function* (_, { after }) {
          for (let at = after; ; at++) {
            while (at >= lines.length) await new Promise(resolve => waiting.add(resolve));
            yield lines[at];
          }
        },
      },
    },
  }),
});

const server = new WebSocketServer({ port: Number(port), host: "127.0.0.1" });
server.on("connection", socket => {
  const connection = `${process.pid}.${++connections}`;
  socket.on("message", data => appendFileSync(journal, `${JSON.stringify({ connection, ...JSON.parse(data) })}\n`));
});
const served = useServer({ schema: chat, onConnect: ({ connectionParams }) => connectionParams?.token === "right" }, server);
process.on("SIGTERM", async () => {
  await served.dispose();
  process.exit(0);
});
