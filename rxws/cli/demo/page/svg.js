// Keyed SVG elements: what is drawn again is changed, not made anew.
const NS = "http://www.w3.org/2000/svg";

export class Layer {
  #nodes = new Map(); #used = new Set();

  constructor(parent) { this.parent = parent.appendChild(document.createElementNS(NS, "g")); }

  put(key, kind, attributes, text) {
    let node = this.#nodes.get(key);
    if (!node) {
      node = this.parent.appendChild(document.createElementNS(NS, kind));
      this.#nodes.set(key, node);
    }
    this.#used.add(key);
    for (const [name, value] of Object.entries(attributes)) {
      if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
    }
    if (text !== undefined && node.textContent !== text) node.textContent = text;
    return node;
  }

  sweep() {
    for (const [key, node] of this.#nodes) {
      if (!this.#used.has(key)) { node.remove(); this.#nodes.delete(key); }
    }
    this.#used.clear();
  }
}

export const path = points => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
