"""When to try again, and when not to."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rxws.checks import number, positive, positive_int
from rxws.close import Close
from rxws.errors import ConnectError, RxwsError, leaves

LONGEST_RETRY_AFTER: Final = 3600.0
"""Seconds; a server that asks for more than an hour gets an hour."""

TRY_AGAIN: Final = (408, 425, 429)
"""Statuses below 500 that say that another time may do: timeout, too early, too many."""


def full(ceiling: float) -> float:
    """Full jitter: anything up to the ceiling, so that many clients come back one by one."""
    return random.uniform(0, ceiling)


def is_final(because: Exception) -> bool:
    """Tell whether an end is for good: the default rule.

    Final are the peer's closes 1000, 1008 and 4000-4999, an HTTP status 4xx but for 408, 425 and 429, and errors that
    are none of the network's, such as a bug in a function that makes the URL; of a group, one that is final is
    enough. The rest comes back.

    >>> [is_final(Close(code)) for code in (1000, 1001, 1011, 1012, 4000)]
    [True, False, False, False, True]
    >>> is_final(ConnectionResetError()), is_final(KeyError("token"))
    (False, True)
    """
    match because:
        case Close(code=code):
            return code in (1000, 1008) or code >= 4000
        case ConnectError(status=int(status)):
            return 400 <= status < 500 and status not in TRY_AGAIN
        case ExceptionGroup(exceptions=several):
            return any(map(is_final, several))
        case _:
            return not isinstance(because, (RxwsError, OSError))


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """How a client comes back: exponentially longer waits, jittered, and again short ones after a stable connection.

    The wait before attempt n+1 is `jitter(min(maximum, initial * factor ** n))`, plus what a server's `Retry-After`
    asks for. A server that restarts has `clients / initial` attempts a second at first, then fewer and fewer, at last
    `2 * clients / maximum`: raise `initial` for a fleet; with half of `maximum` the attempts are flat from the start.

    Raises `TypeError` or `ValueError` for a value that makes no sense.

    >>> Backoff(initial=1, factor=2, jitter=lambda ceiling: ceiling).delay(3, ConnectionResetError())
    8.0
    """

    initial: float = 0.5
    """Seconds, of the first wait at most."""
    factor: float = 1.6
    """How much longer each wait may be than the one before."""
    maximum: float = 30.0
    """Seconds, of any wait at most."""
    jitter: Callable[[float], float] = full
    """Chooses the wait, given its ceiling."""
    reset_after: float = 30.0
    """Seconds after which a connection is stable: the attempts and waits begin anew after it."""
    max_attempts: int | None = None
    """Attempts in a row without a stable connection, before giving up; `None` for no limit."""
    rotate_every: float | None = None
    """Seconds after which a connection is replaced, for servers that cut at a certain age; `None` for never."""
    final: Callable[[Exception], bool] = is_final
    """Tells of a `Close` or an error whether it is the end for good."""

    def __post_init__(self) -> None:
        for name in ("initial", "maximum", "reset_after"):
            positive(name, getattr(self, name), "seconds")
        if self.rotate_every is not None:
            positive("rotate_every", self.rotate_every, "seconds", none="never")
        number("factor", self.factor, "1 or more", lambda factor: factor >= 1)
        if self.maximum < self.initial:
            raise ValueError(f"maximum must not be below initial, {self.initial!r}, but is {self.maximum!r}")
        if self.max_attempts is not None:
            positive_int("max_attempts", self.max_attempts, "attempts", none="no limit")
        for name in ("jitter", "final"):
            if not callable(getattr(self, name)):
                raise TypeError(f"{name} must be a function, not {getattr(self, name)!r}")

    def delay(self, failures: int, because: Exception) -> float:
        """Choose how many seconds to wait after so many failures in a row, this one not counted."""
        ceiling = min(self.maximum, self.initial * self.factor ** min(failures, 1000))
        asked = max(one.retry_after or 0.0 if isinstance(one, ConnectError) else 0.0 for one in leaves(because))
        return self.jitter(ceiling) + min(asked, LONGEST_RETRY_AFTER)
