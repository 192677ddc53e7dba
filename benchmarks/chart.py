"""Charts as SVG: a line, or a row of dots, for each peer; ages over time."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
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
    for number, label in enumerate(dict.fromkeys(label for row in rows.values() for label in row)):
        values = [row.get(label, nan) for row in rows.values()]  # not every peer is in every cell
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


POLICY_LINES = {
    "close": {"color": "#8a8f98"},
    "latest": {"color": "#1f77b4"},
    "latest_by": {"color": "#d9822b"},
    "latest_by, before": {"color": "#d9822b", "linestyle": "--", "alpha": 0.6},
}


def draw_ages(path: Path, series: dict[str, dict[str, list[tuple[float, float]]]], seconds: float) -> None:
    """Draw, for each way to a reader, how old what it has is, a line for each policy; a cross where that was closed."""
    columns = 4
    rows = -(-len(series) // columns)
    figure, grid = pyplot.subplots(rows, columns, figsize=(10, 2.6 * rows + 0.6), sharex=True, sharey=True)
    places = list(grid.flat)
    for axes, (way, policies) in zip(places, series.items(), strict=False):
        axes.axhline(0.2, color="#2f9e44", linewidth=1, linestyle=":", label="0.2 s")
        for policy, messages in policies.items():
            turns = binned(messages, seconds)
            style = POLICY_LINES[policy]
            axes.plot(*zip(*turns, strict=True), linewidth=1.6, label=policy, **style)
            if turns[-1][0] < 0.95 * seconds:
                axes.plot(*turns[-1], "x", color=style["color"])
        axes.set(title=way.replace(", ", " and "), yscale="log", xlim=(0, seconds), ylim=(0.01, 100))
        axes.set_yticks([0.01, 0.1, 1, 10, 100], ["10 ms", "0.1 s", "1 s", "10 s", "100 s"])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    for axes in places[len(series) :]:
        axes.axis("off")
        axes.legend(*places[0].get_legend_handles_labels(), frameon=False, loc="center")
    for axes in places[len(series) - columns : len(series)]:
        axes.xaxis.set_tick_params(labelbottom=True)
        axes.set_xlabel("seconds")
    for axes in places[::columns]:
        axes.set_ylabel("age")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def binned(messages: Sequence[tuple[float, float]], seconds: float, bins: int = 120) -> list[tuple[float, float]]:
    """The oldest of each part of the time that has any."""
    oldest: dict[int, float] = {}
    for at, age in messages:
        number = int(at / seconds * bins)
        oldest[number] = max(oldest.get(number, 0.0), age)
    return [((number + 0.5) * seconds / bins, age) for number, age in sorted(oldest.items())]
