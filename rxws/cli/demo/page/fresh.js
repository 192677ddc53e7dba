// Below the marbles, over the same 20 seconds: how old a sample is when the page comes to it, and what is in flight.
import { LEFT, SPAN } from "./marbles.js";
import { Layer, path } from "./svg.js";

const HEIGHT = 34, LANES = {
  age: { y: 52, least: 0.2, text: value => `${(value * 1000).toFixed(0)} ms` },
  flight: { y: 112, least: 1000, text: value => value < 1e3 ? `${value.toFixed(0)} B` : `${(value / 1e3).toFixed(1)} kB` },
};

export class Fresh {
  #values = { age: [], flight: [] };

  constructor(svg) { this.svg = svg; this.layer = new Layer(svg); }

  add(lane, value, now) { this.#values[lane].push({ at: now, value }); }

  text(lane) { return this.#values[lane].length ? LANES[lane].text(this.#values[lane].at(-1).value) : "–"; }

  draw(now) {
    const width = this.svg.clientWidth;
    if (!width) return;
    const x = at => width - (now - at) / SPAN * (width - LEFT);
    for (const [lane, { y, least, text }] of Object.entries(LANES)) {
      const values = this.#values[lane] = this.#values[lane].filter(({ at }) => x(at) > LEFT);
      const high = Math.max(least, ...values.map(({ value }) => value));
      this.layer.put(`${lane}-axis`, "line", { class: "axis", x1: LEFT, x2: width, y1: y, y2: y });
      this.layer.put(`${lane}-high`, "line", { class: "grid", x1: LEFT, x2: width, y1: y - HEIGHT, y2: y - HEIGHT });
      this.layer.put(`${lane}-name`, "text", { class: "lane", x: 0, y: y - 10 }, lane);
      this.layer.put(`${lane}-text`, "text", { x: LEFT, y: y - HEIGHT - 5 }, text(high));
      if (values.length > 1) {
        const line = values.map(({ at, value }) => [x(at), y - value / high * HEIGHT]);
        this.layer.put(`${lane}-line`, "path", { class: "line", d: path(line) });
      }
    }
    this.layer.sweep();
  }
}
