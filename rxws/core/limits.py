"""What a peer may take: a deadline for each message, and a token bucket for their number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rxws.core.wire import Wire


class MessageDeadline:
    """Calls `on_timeout` if a message is not complete `limit` seconds after its first byte.

    The clock stands still while the wire is `blind`: then we do not read, so the peer cannot finish its message. There
    is at most one timer, which is not set for each message. When it fires, `_wait` looks at the message of that moment.
    """

    __slots__ = ("_limit", "_loop", "_on_timeout", "_timer", "_wire")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, limit: float, wire: Wire, on_timeout: Callable[[], object]
    ) -> None:
        self._loop = loop
        self._limit = limit
        self._wire = wire
        self._on_timeout = on_timeout
        self._timer: asyncio.TimerHandle | None = None

    def part_received(self) -> None:
        """Start the clock, if it does not run."""
        if self._timer is None:
            self._wait()

    def stop(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        """Set the timer for the message that is on its way now, or call `on_timeout` if that is overdue."""
        self._timer = None
        since = self._wire.unfinished
        if since is None:
            return
        due = (self._loop.time() if self._wire.blind else since) + self._limit
        if due > self._loop.time():
            self._timer = self._loop.call_at(due, self._wait)
        else:
            self._on_timeout()


class TokenBucket:
    """A token bucket. It gains `per_second` tokens a second, and holds as many, or one if that is more.

    >>> bucket = TokenBucket(2)
    >>> [bucket.admits(0.0), bucket.admits(0.1), bucket.admits(0.2), bucket.admits(0.6)]
    [True, True, False, True]
    """

    __slots__ = ("_at", "_burst", "_per_second", "_tokens")

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._burst = self._tokens = max(per_second, 1.0)
        self._at: float | None = None

    def admits(self, now: float) -> bool:
        """Take a token at the time `now`, in seconds; return whether there was one."""
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
