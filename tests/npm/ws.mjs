// A client of Node's ws: sends what it is told, prints what comes and how it ends, a JSON line each.
import WebSocket from "ws";

const [url, plan] = process.argv.slice(2);
const { send, expect, close } = JSON.parse(plan);
const socket = new WebSocket(url, { perMessageDeflate: false });
let seen = 0;

const say = what => console.log(JSON.stringify(what));
const done = () => seen === expect && close && socket.close(close.code, close.reason);

socket.on("open", () => {
  for (const message of send) {
    if (message.fragments) {
      message.fragments.forEach((part, i) => socket.send(part, { fin: i === message.fragments.length - 1 }));
    } else {
      socket.send(message.binary ? Buffer.from(message.binary, "hex") : message.repeat ? "é".repeat(message.repeat) : message.text);
    }
  }
  done();
});
socket.on("message", (data, binary) => {
  seen += 1;
  say(binary ? { binary: data.toString("hex") } : data.length > 1000 ? { length: data.toString().length } : { text: data.toString() });
  done();
});
socket.on("close", (code, reason) => say({ code, reason: reason.toString() }));
socket.on("error", error => say({ error: error.message }));
