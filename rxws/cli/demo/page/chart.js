// CPU over the last minute: each core, their mean, the moving window's band, the threshold.
import { Layer, path } from "./svg.js";

const SPAN = 60, LEFT = 34, BOTTOM = 20, TOP = 8;

export class Chart {
  samples = []; percent = 80;

  constructor(svg) { this.svg = svg; this.back = new Layer(svg); this.lines = new Layer(svg); }

  add(sample) {
    this.samples.push(sample);
    while (this.samples.length && this.samples[0].at < sample.at - SPAN - 2) this.samples.shift();
  }

  draw(now) {
    const { width, height } = this.svg.getBoundingClientRect();
    if (!width) return;
    const bottom = height - BOTTOM;
    const x = at => width - (now - at) / SPAN * (width - LEFT);
    const y = percent => bottom - percent / 100 * (bottom - TOP);
    for (const percent of [0, 25, 50, 75, 100]) {
      this.back.put(`grid${percent}`, "line", { class: "grid", x1: LEFT, x2: width, y1: y(percent), y2: y(percent) });
      this.back.put(`label${percent}`, "text", { x: LEFT - 8, y: y(percent) + 4, "text-anchor": "end" }, `${percent}`);
    }
    for (const ago of [60, 45, 30, 15]) {
      this.back.put(`ago${ago}`, "text", { x: x(now - ago), y: height - 4, "text-anchor": ago === 60 ? "start" : "middle" }, `−${ago} s`);
    }
    this.back.put("now", "text", { x: width - 2, y: height - 4, "text-anchor": "end" }, "now");
    this.back.put("threshold", "line", { class: "threshold", x1: LEFT, x2: width, y1: y(this.percent), y2: y(this.percent) });
    this.back.put("threshold-text", "text", { class: "threshold-text", x: LEFT + 6, y: y(this.percent) + (this.percent > 92 ? 13 : -5) }, `${this.percent} %`);
    this.back.sweep();

    const shown = this.samples.filter(sample => x(sample.at) > LEFT);
    if (shown.length > 1) {
      const along = value => shown.map(sample => [x(sample.at), y(value(sample))]);
      const mean = along(sample => sample.mean);
      const band = [...along(sample => sample.window.max), ...along(sample => sample.window.min).reverse()];
      this.lines.put("band", "path", { class: "band", d: `${path(band)}Z` });
      this.lines.put("area", "path", { class: "area", d: `${path(mean)}L${mean.at(-1)[0]} ${bottom}L${mean[0][0]} ${bottom}Z` });
      shown.at(-1).cpu.slice(0, 32).forEach((_, core) => {
        this.lines.put(`core${core}`, "path", { class: "core", d: path(along(sample => sample.cpu[core] ?? 0)) });
      });
      this.lines.put("average", "path", { class: "average", d: path(along(sample => sample.window.mean)) });
      this.lines.put("mean", "path", { class: "mean", d: path(mean) });
    }
    this.lines.sweep();
  }
}

export class Spark {
  values = [];

  constructor(svg) { this.svg = svg; this.layer = new Layer(svg); }

  add(value) {
    this.values.push(value);
    if (this.values.length > 120) this.values.shift();
  }

  draw() {
    const { width, height } = this.svg.getBoundingClientRect();
    if (this.values.length < 2 || !width) return;
    const high = Math.max(...this.values), low = Math.min(...this.values), range = high - low || 1;
    const points = this.values.map((value, i) => [i / (this.values.length - 1) * width, height - 4 - (value - low) / range * (height - 8)]);
    this.layer.put("line", "path", { class: "line", d: path(points) });
  }
}
