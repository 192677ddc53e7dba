"""As many points as a line shows, of however many come."""

from __future__ import annotations

import math
from collections.abc import Iterator

Point = tuple[float, float]


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
        """Add a point; one that is not finite is none."""
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
            kept = {points[0], points[-1], min(points, key=_height), max(points, key=_height)}
            points[:] = sorted(kept)
        if len(self._columns) > 2 * self._number:
            first = (self._newest - self._window) * self._number // self._window
            self._columns = {column: kept for column, kept in self._columns.items() if column >= first}

    def __iter__(self) -> Iterator[Point]:
        since = self._newest - self._window
        return iter(sorted(point for points in self._columns.values() for point in points if point[0] >= since))


def _height(point: Point) -> float:
    return point[1]
