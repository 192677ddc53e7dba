"""`plot`: an Observable as a live line."""

from __future__ import annotations

import asyncio
import base64
import io
import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from operator import itemgetter
from typing import Any, Final

from reactivex import Observable

from rxws.checks import positive
from rxws.jupyter.pictures.fields import Field, getter, name_of
from rxws.jupyter.pictures.live import FITTING, Live
from rxws.jupyter.pictures.subscribed import Subscribed
from rxws.marbles.layout import Clock

PLOT_INCHES: Final = 8.4
HEIGHT: Final = 2.6
DPI: Final = 100

Point = tuple[float, float]


def plot(
    observable: Observable[Any],
    *,
    x: Field | None = None,
    y: Field | Sequence[Field] | None = None,
    window: float = 60.0,
    title: str = "",
) -> Live:
    """Show numbers of an Observable's items as a live line: `plot(trades, y="price")`.

    An item whose `y` is `None` has no point. Subscribes at once; items may come from any thread. matplotlib draws the
    line outside the event loop's thread, at most ten times a second. Memory: four points for each pixel of the width.

    What `x`, `y` or matplotlib raises ends it, and is shown. Raises `TypeError` for what is not an Observable,
    `ValueError` for a window that is not positive or an empty `y`, `RuntimeError` where no event loop runs,
    `ImportError` without matplotlib.

    Args:
        observable: The Observable.
        x: A field's name, or a function of an item; `None`: the time at which it comes; then `window` is seconds.
        y: A field's name or a function of an item, or several, a line each; `None`: the item itself.
        window: Units of x that the picture shows.
        title: The title of the picture.
    """
    positive("window", window)
    if y is None:
        y = value
    fields = [y] if isinstance(y, (str, int)) or callable(y) else list(y)
    if not fields:
        raise ValueError("y must be a field, or several, not none of them")
    return Live(Plot(observable, x, fields, window, title))


def value(item: Any) -> Any:
    """Give the item itself."""
    return item


class Plot(Subscribed):
    """Lines."""

    def __init__(
        self, observable: Observable[Any], x: Field | None, y: Sequence[Field], window: float, title: str
    ) -> None:
        super().__init__(observable)
        try:
            import matplotlib.figure as figures
        except ImportError as error:
            raise ImportError('plot needs matplotlib: pip install "rxws[jupyter]"') from error
        self._figure: Any = figures.Figure(figsize=(PLOT_INCHES, HEIGHT), dpi=DPI)
        self._axes = self._figure.add_axes((0.09, 0.19, 0.89, 0.7))
        self._axes.grid(alpha=0.3)
        self._axes.ticklabel_format(axis="y", useOffset=False, scilimits=(-4, 8))
        self._axes.spines[["top", "right"]].set_visible(False)
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._clock = Clock(datetime.now().astimezone())
        self._x = self._seconds if x is None else getter(x)
        self._x_name = "" if x is None else name_of(x)
        self._has_times = x is None
        self._title = title
        self._window = window
        self._lines = [(name_of(field), getter(field), Thinned(window, int(PLOT_INCHES * DPI))) for field in y]
        self._png = ""

    async def draw(self) -> str:
        """Draw it in another thread."""
        self._drawn = self.items
        lines = [(name, list(points)) for name, _, points in self._lines]
        self._png = await asyncio.to_thread(self._paint, lines)
        return self.still()

    def still(self) -> str:
        """Show what was drawn."""
        if not self._png:
            return f"<p>{escape(self.text())}</p>"
        return f'<img alt="{escape(self.text())}" src="data:image/png;base64,{self._png}" style="{FITTING}">'

    def text(self) -> str:
        """Say what was drawn."""
        told: list[str] = []
        for name, _, points in self._lines:
            values = [y for _, y in points]
            told.append(f"{name}: {_range(values)}")
        return f"Plot of {self.items} items; {'; '.join(told)}{self.ending()}."

    def _seconds(self, _: Any) -> float:
        return self._loop.time() - self._began

    def _take(self, item: Any) -> None:
        x = float(self._x(item))
        for _, get, points in self._lines:
            y = get(item)
            if y is not None:
                points.add(x, float(y))

    def _paint(self, lines: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> str:
        axes = self._axes
        if not axes.lines:
            for name, _ in lines:
                axes.plot([], [], label=name, linewidth=1.4)
            axes.set_xlabel(self._x_name, parse_math=False)
            for text in axes.legend(loc="upper left", frameon=False, fontsize=9).get_texts():
                text.set_parse_math(False)  # a dollar is a dollar
        for line, (_, points) in zip(axes.lines, lines, strict=True):
            line.set_data([x for x, _ in points], [y for _, y in points])
        newest = max((points[-1][0] for _, points in lines if points), default=self._window)
        oldest = min((points[0][0] for _, points in lines if points), default=newest - self._window)
        if newest > oldest:
            axes.set_xlim(max(newest - self._window, oldest), newest)
        if self._has_times:
            begin, end = axes.get_xlim()
            times: list[float] = self._clock.ticks(begin, end, 7)
            axes.set_xticks(times, [self._clock.written(time) for time in times])
        axes.relim()
        axes.autoscale_view(scalex=False)
        axes.set_title(f"{self._title}{self.ending()}".removeprefix("; "), loc="left", fontsize=10, parse_math=False)
        file = io.BytesIO()
        self._figure.savefig(file, format="png")
        return base64.b64encode(file.getvalue()).decode()


def _range(values: Sequence[float]) -> str:
    return f"from {min(values):.6g} to {max(values):.6g}, the last {values[-1]:.6g}" if values else "nothing"


class Thinned:
    """The points of the last `window` units of x, thinned to what a line of `columns` pixels shows.

    Of the points in one column the first, the lowest, the highest and the last are kept, so that no spike is lost and
    the line looks as that of all of them. Points may come late; where x goes back by more than the window, the line
    begins anew. Memory: four points a column, of twice as many columns at most.

    >>> line = Thinned(window=10, columns=2)
    >>> for x, y in [(0, 1), (1, 9), (2, 5), (3, 0), (6, 7), (4, 2)]:
    ...     line.add(x, y)
    >>> list(line)
    [(0, 1), (1, 9), (3, 0), (4, 2), (6, 7)]
    """

    def __init__(self, window: float, columns: int) -> None:
        self._window = window
        self._number = columns
        self._columns = dict[int, list[Point]]()
        self._newest = -math.inf

    def add(self, x: float, y: float) -> None:
        """Add a point, unless it is not finite."""
        if not (math.isfinite(x) and math.isfinite(y)):
            return
        if x < self._newest - self._window:
            self._columns.clear()
            self._newest = x
        self._newest = max(self._newest, x)
        points = self._columns.setdefault(int(x * self._number // self._window), [])
        points.append((x, y))
        if len(points) > 4:
            points.sort()
            kept = {points[0], points[-1], min(points, key=itemgetter(1)), max(points, key=itemgetter(1))}
            points[:] = sorted(kept)
        if len(self._columns) > 2 * self._number:
            first = (self._newest - self._window) * self._number // self._window
            self._columns = {column: kept for column, kept in self._columns.items() if column >= first}

    def __iter__(self) -> Iterator[Point]:
        since = self._newest - self._window
        columns = list(self._columns.values())  # at once: another thread may add to them
        return iter(sorted(point for points in columns for point in points if point[0] >= since))
