"""As many points as a line shows, of however many come."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

Point = tuple[float, float]


class Thinned:
    """The points of the last `window` units of x, thinned to what a line of `columns` pixels shows.

    Of the points in one column the first, the lowest, the highest and the last are kept, so that no spike is lost and the
    line looks as that of all of them. Memory: four points a column. Where x goes back, the line begins anew.

    >>> line = Thinned(window=10, columns=2)
    >>> for x, y in [(0, 1), (1, 9), (2, 5), (3, 0), (4, 2), (6, 7)]:
    ...     line.add(x, y)
    >>> list(line)
    [(0, 1), (1, 9), (3, 0), (4, 2), (6, 7)]
    """

    def __init__(self, window: float, columns: int) -> None:
        self._window = window
        self._width = window / columns
        self._columns = deque[tuple[int, list[Point]]]()

    def add(self, x: float, y: float) -> None:
        """Add a point. One that is not finite is a gap."""
        if not math.isfinite(x):
            return
        column = int(x // self._width)
        if self._columns and column < self._columns[-1][0]:
            self._columns.clear()
        if not self._columns or self._columns[-1][0] != column:
            self._columns.append((column, [(x, y)] * 4))
            while self._columns[0][0] * self._width < x - self._window:
                self._columns.popleft()
            return
        points = self._columns[-1][1]
        if y < points[1][1]:
            points[1] = (x, y)
        if y > points[2][1]:
            points[2] = (x, y)
        points[3] = (x, y)

    def __iter__(self) -> Iterator[Point]:
        for _, points in self._columns:
            yield from sorted(set(points))
