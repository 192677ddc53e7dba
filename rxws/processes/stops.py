"""Signals that tell a program to stop."""

from __future__ import annotations

import math
import time
from typing import Final

ONE_STOP: Final = 0.5
"""Seconds within which signals are one: a terminal tells all processes, and one that has started others tells them."""


class Stops:
    """Counts how often it was told to stop.

    >>> stops = Stops()
    >>> stops.told(), stops.told(), stops.number
    (True, False, 1)
    """

    def __init__(self) -> None:
        self.number = 0
        self._last = -math.inf

    def told(self) -> bool:
        """Note a signal; return whether it counts, since it did not come with the one before."""
        now = time.monotonic()
        counts = now - self._last >= ONE_STOP
        if counts:
            self._last = now
            self.number += 1
        return counts
