"""A line for each peer, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "rxws"

from matplotlib import pyplot  # noqa: E402 - after the choice of what draws


def draw(path: Path, x: Sequence[float], lines: dict[str, list[float]], across: str, up: str) -> None:
    """Draw lines over a logarithmic axis."""
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    for label, values in lines.items():
        axes.plot(x[: len(values)], values, marker="o", label=label)
    axes.set(xscale="log", xlabel=across, ylabel=up, ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
