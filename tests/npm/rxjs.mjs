// A client of rxjs's webSocket over ws: sends what it is told, prints what comes and how it ends, a JSON line each.
import { webSocket } from "rxjs/webSocket";
import WebSocket from "ws";

const [url, plan] = process.argv.slice(2);
const { send, expect, end } = JSON.parse(plan);
const say = what => console.log(JSON.stringify(what));
let seen = 0;

const subject = webSocket({
  url,
  WebSocketCtor: WebSocket,
  closeObserver: { next: event => say({ code: event.code, reason: event.reason }) },
});
subject.subscribe({
  next: message => {
    say({ next: message });
    seen += 1;
    if (seen === expect) end ? subject.error(end) : subject.complete();
  },
  error: error => say({ failed: error.code ?? String(error) }),
  complete: () => say({ completed: true }),
});
send.forEach(message => subject.next(message));
