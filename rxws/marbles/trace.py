"""A quantity over time, drawn as a line below the lanes of a diagram."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

TRACE_HEIGHT: Final = 40
"""Pixels from zero to the highest value."""

LIGHT_TRACE: Final = {
    ".trace": "fill:none;stroke:#2177d6;stroke-width:1.8;stroke-linejoin:round",
    ".scale": "fill:none;stroke:#8a94a6;stroke-dasharray:2 4",
    ".high,.now": "font-weight:500;font-size:12px;fill:#5b6575",
    ".now": "font-weight:600;fill:#1c2330",
}
DARK_TRACE: Final = {".trace": "stroke:#63b3ff", ".high": "fill:#98a3b5", ".now": "fill:#e6ebf3"}


@dataclass(frozen=True, slots=True)
class Trace:
    """A quantity: its values at times, in seconds, and how they are written."""

    name: str
    points: Sequence[tuple[float, float | None]]
    """`None` where it has no value: there the line has a gap."""
    written: Callable[[float], str]
    least: float
    """What the scale reaches at least."""

    @property
    def values(self) -> list[float]:
        """The values that there are."""
        return [value for _, value in self.points if value is not None]

    def draw(self, place: Callable[[float], float], left: float, right: float, end: float, y: float) -> list[str]:
        """Draw the line with its scale, from zero at `y`; the present value stands at `end`."""
        values = self.values
        high = max([self.least, *values])
        line, pen = "", "M"
        for time, value in self.points:
            if value is None:
                pen = "M"
            else:
                line += f"{pen}{place(time):.1f} {y - value / high * TRACE_HEIGHT:.1f}"
                pen = "L"
        top = y - TRACE_HEIGHT
        now = self.points[-1][1] if self.points else None
        return [
            f'<text class="name" x="{left - 16:.0f}" y="{y - 12:g}">{escape(self.name)}</text>',
            f'<path class="axis" d="M{left:.0f} {y:g}H{right:.0f}"/>',
            f'<path class="scale" d="M{left:.0f} {top:g}H{end:.0f}"/>',
            f'<text class="high" x="{left:.0f}" y="{top - 4:g}">{escape(self.written(high))}</text>',
            f'<path class="trace" d="{line}"/>' if line else "",
            ""
            if now is None
            else f'<text class="now" x="{end + 8:.0f}" y="{y - 12:g}">{escape(self.written(now))}</text>',
        ]

    def told(self) -> str:
        """Say it: the text alternative.

        >>> Trace("age", [(0, 0.1), (1, None), (2, 0.3)], "{:.1f} s".format, 0.2).told()
        'age: 0.3 s now, 0.1 s to 0.3 s before.'
        """
        values = self.values
        if not values:
            return f"{self.name}: nothing yet."
        least, most, last = (self.written(value) for value in (min(values), max(values), values[-1]))
        return f"{self.name}: {last} now, {least} to {most} before."
