// A socket that reconnects: emits "state", "message", "sent" and "closed", and reports how many messages the page has taken.
const FIRST = 500, LAST = 10000, FACTOR = 1.6, EVERY = 50;

export class Feed extends EventTarget {
  #socket = null; #timer = 0; #delay = FIRST;
  auto = true;
  work = 0; // milliseconds that the page takes for each message

  constructor(url) { super(); this.url = url; }

  connect() {
    clearTimeout(this.#timer);
    this.#emit("state", { state: "connecting" });
    const socket = this.#socket = new WebSocket(this.url);
    let last = Promise.resolve(), taken = 0, told = 0;
    const tell = setInterval(() => {
      if (taken !== told && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "taken", count: told = taken }));
    }, EVERY);
    socket.onopen = () => { this.#delay = FIRST; this.#emit("state", { state: "open" }); };
    socket.onmessage = event => {
      last = last.then(async () => {
        if (this.work) await new Promise(done => setTimeout(done, this.work));
        this.#emit("message", JSON.parse(event.data));
        taken += 1;
      });
    };
    socket.onclose = event => last.then(() => {
      clearInterval(tell);
      this.#emit("closed", { code: event.code, reason: event.reason });
      const wait = this.auto ? this.#delay * (0.75 + Math.random() / 2) : 0;
      this.#delay = Math.min(LAST, this.#delay * FACTOR);
      this.#emit("state", { state: "closed", wait });
      if (this.auto) this.#timer = setTimeout(() => this.connect(), wait);
    });
  }

  stop() { clearTimeout(this.#timer); }

  send(message) { this.sendText(JSON.stringify(message), message); }

  sendText(text, message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(text);
    this.#emit("sent", message);
  }

  #emit(name, detail) { this.dispatchEvent(new CustomEvent(name, { detail })); }
}
