"""State diagrams of Mermaid, which GitHub draws, as pictures without a script: states in a row, arcs between them."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

ARROW = re.compile(r"(\S+) --> (\S+)")
BOX, GAP, HEIGHT, RISE = 116, 34, 30, 22


def svg(source: str) -> str:
    """Draw a diagram: arcs to later states run above the row, arcs back below it."""
    arrows = [(a, b) for a, b in ARROW.findall(source) if "[*]" not in (a, b)]
    states = list(dict.fromkeys(state for arrow in arrows for state in arrow))
    place = {state: number for number, state in enumerate(states)}
    spans = [(place[a], place[b]) for a, b in arrows]
    above = max((end - start for start, end in spans if end > start), default=1) * RISE
    below = max((start - end for start, end in spans if end < start), default=0) * RISE
    step, middle = BOX + GAP, above + HEIGHT / 2
    parts = [_box(state, number * step, middle) for state, number in place.items()]
    parts += [_arc(start, end, step, middle) for start, end in spans]
    width, height = len(states) * step - GAP, above + HEIGHT + below
    tip = f"tip-{'-'.join(states)}"
    label = "; ".join(f"{a} to {b}" for a, b in arrows)
    head = (
        f'<svg viewBox="-2 -2 {width + 4} {height + 8}" width="{width}" role="img" aria-label="{label}" '
        f'style="--tip: url(#{tip})"><defs><marker id="{tip}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>'
    )
    return f'<div class="states">{head}{"".join(parts)}</svg></div>'


def _box(state: str, left: float, middle: float) -> str:
    return (
        f'<rect x="{left}" y="{middle - HEIGHT / 2}" width="{BOX}" height="{HEIGHT}" rx="6"/>'
        f'<text x="{left + BOX / 2}" y="{middle + 4}">{state}</text>'
    )


def _arc(start: int, end: int, step: float, middle: float) -> str:
    if end == start + 1:
        return f'<path class="arrow" d="M{start * step + BOX} {middle}H{end * step - 1}"/>'
    side = -1 if end > start else 1
    edge, far = middle + side * HEIGHT / 2, middle + side * (HEIGHT / 2 + abs(end - start) * RISE - 6)
    shift = 12 if end > start else -12  # what leaves a state and what enters it do not touch
    left, right = start * step + BOX / 2 + shift * 2, end * step + BOX / 2 - shift * (1 + abs(end - start) / 3)
    bend = shift * 2
    return f'<path class="arrow" d="M{left} {edge}C{left + bend} {far},{right - bend} {far},{right} {edge + side}"/>'


class Diagrams(SphinxTransform):
    """Draws each diagram where it stands."""

    default_priority = 210

    def apply(self, **_: Any) -> None:
        for block in list(self.document.findall(nodes.literal_block)):
            if block.get("language") == "mermaid" and block.astext().startswith("stateDiagram"):
                block.replace_self(nodes.raw("", svg(block.astext()), format="html"))


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_transform(Diagrams)
    return {"version": "1", "parallel_read_safe": True}
