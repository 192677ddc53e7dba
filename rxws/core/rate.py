"""How many messages a peer may send."""

from __future__ import annotations


class Rate:
    """A token bucket: so many a second, with a burst of as many, but of one at the least.

    >>> rate = Rate(2)
    >>> [rate.admits(0.0), rate.admits(0.1), rate.admits(0.2), rate.admits(0.6)]
    [True, True, False, True]
    """

    __slots__ = ("_at", "_burst", "_per_second", "_tokens")

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._burst = self._tokens = max(per_second, 1.0)
        self._at: float | None = None

    def admits(self, now: float) -> bool:
        """Tell whether one more at `now`, in seconds, is within the rate."""
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
