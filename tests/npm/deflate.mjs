// A client of ws, undici, or what runs it (bun): sends messages that come back, and then says how many were right.
const [http, kind] = process.argv.slice(2);
const messages = await (await fetch(`${http}messages`)).json();
const { WebSocket } = kind === "own" ? globalThis : await import(kind);
const socket = new WebSocket(`${http.replace("http", "ws")}ws`);
let right = 0, seen = 0;

socket.onopen = () => messages.forEach(message => socket.send(message));
socket.onmessage = ({ data }) => {
  right += data === messages[seen++];
  if (seen === messages.length) socket.send(`right: ${right}, ${socket.extensions}`);
};
socket.onerror = ({ message }) => console.error(message);
