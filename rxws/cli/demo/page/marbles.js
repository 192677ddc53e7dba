// The frames of the last 20 seconds as a marble diagram; those that share a slot become one counted pill.
import { Layer } from "./svg.js";

export const SPAN = 20, LEFT = 44;
const SLOT = 34, LANES = { in: 34, out: 92 };

export class Marbles {
  #slots = new Map(); #ends = [];

  constructor(svg) { this.svg = svg; this.back = new Layer(svg); this.front = new Layer(svg); }

  add(lane, kind, label, now) {
    const seconds = this.#seconds();
    const slot = Math.floor(now / seconds);
    const key = `${lane}${slot}`;
    const marble = this.#slots.get(key) ?? { lane, at: (slot + 0.5) * seconds, count: 0 };
    const weight = { sample: 0, settings: 1, hello: 1, control: 1, alert: 2, error: 3 };
    if (!marble.count || (weight[kind] ?? 0) >= (weight[marble.kind] ?? 0)) Object.assign(marble, { kind, label });
    marble.count += 1;
    this.#slots.set(key, marble);
  }

  end(code, reason, now) { this.#ends.push({ at: now, code, reason }); }

  #seconds() { return SLOT / Math.max(1, this.svg.clientWidth - LEFT) * SPAN; }

  draw(now) {
    const width = this.svg.clientWidth;
    if (!width) return;
    const x = at => width - (now - at) / SPAN * (width - LEFT);
    for (const [lane, y] of Object.entries(LANES)) {
      this.back.put(lane, "line", { class: "axis", x1: LEFT, x2: width, y1: y, y2: y });
      this.back.put(`${lane}-name`, "text", { class: "lane", x: 0, y: y + 4 }, lane);
    }
    for (const [key, marble] of this.#slots) {
      const at = x(marble.at), y = LANES[marble.lane];
      if (at < LEFT - SLOT) { this.#slots.delete(key); continue; }
      if (at < LEFT + 12) continue;
      const label = marble.count > 1 ? `×${marble.count}` : marble.label, half = Math.max(13, 4 * label.length + 2);
      const kind = marble.kind === "alert" ? "alert-on" : marble.kind;
      this.front.put(key, "rect", { class: `marble ${kind}`, x: at - half, y: y - 13, width: 2 * half, height: 26, rx: 13 });
      this.front.put(`${key}t`, "text", { class: "marble-text", x: at, y: y + 4 }, label);
    }
    this.#ends = this.#ends.filter(end => x(end.at) > LEFT);
    this.#ends.forEach(end => {
      const bad = end.code === 1011 || end.code === 1006 ? " bad" : "", at = x(end.at);
      this.front.put(`end${end.at}`, "line", { class: `end${bad}`, x1: at, x2: at, y1: 12, y2: 114 });
      this.front.put(`code${end.at}`, "text", { class: `end-text${bad}`, x: at - 6, y: 68, "text-anchor": "end" }, `${end.code} ${end.reason}`);
    });
    this.back.sweep();
    this.front.sweep();
  }
}
