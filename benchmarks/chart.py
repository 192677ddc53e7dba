"""A line, or a row of dots, for each peer, as SVG."""

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


def draw_dots(path: Path, rows: dict[str, dict[str, float]], across: str) -> None:
    """Draw a row for each cell, with a dot for each peer, over a logarithmic axis."""
    figure, axes = pyplot.subplots(figsize=(8, 0.4 * len(rows) + 1.6))
    places = range(len(rows))
    for number, label in enumerate(next(iter(rows.values()))):
        values = [row[label] for row in rows.values()]
        axes.plot(values, places, "o", markersize=10 if number == 1 else 6, zorder=4 if number == 1 else 3, label=label)
    axes.axvline(1, color="C0", linewidth=1)
    axes.set(xscale="log", xlabel=across, yticks=places, yticklabels=rows)
    axes.set_xticks([0.25, 0.5, 1, 2, 4], ["0.25", "0.5", "1", "2", "4"])
    axes.minorticks_off()
    axes.invert_yaxis()
    axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, ncols=4, loc="upper center", fontsize="small")
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.6 / figure.get_figheight()))
    figure.savefig(path, metadata={"Date": None})
