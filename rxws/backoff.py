"""When to try again, and when not to."""

from __future__ import annotations

import inspect
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from rxws.checks import number, positive, positive_int
from rxws.close import Close
from rxws.errors import ConnectError, EncodeError, RxwsError, leaves

__all__ = ["Backoff", "FinalRule", "full", "is_fault", "is_final", "is_refusal"]

LONGEST_RETRY_AFTER: Final = 3600.0
"""Seconds; a server that asks for more than an hour gets an hour."""

TRY_AGAIN: Final = (408, 425, 429)
"""Statuses below 500 that say that another time may do: timeout, too early, too many."""


def full(ceiling: float) -> float:
    """Full jitter: anything up to the ceiling, so that many clients come back one by one.

    Args:
        ceiling: Seconds.
    """
    return random.uniform(0, ceiling)


def is_final(because: Exception) -> bool:
    """Tell whether an end is for good: the rule `"polite"`, which is the default.

    Final are the peer's closes 1000, 1008 and 4000-4999, one without a code (1005), an HTTP status 4xx but for 408, 425
    and 429, and errors that are none of the network's, such as a bug in a function that makes the URL, or in one that
    greets; of a group, one that is final is enough. The rest comes back. A status that such a function gets from
    another server, and raises as aiohttp's `ClientResponseError`, counts as one of this server's.

    Args:
        because: The peer's `Close`, or the error that ended the connection.

    >>> [is_final(Close(code)) for code in (1000, 1001, 1011, 1012, 4000)]
    [True, False, False, False, True]
    >>> is_final(ConnectionResetError()), is_final(KeyError("token"))
    (False, True)
    """
    return _is_final(because, lambda code: code in (1000, 1005, 1008) or code >= 4000, client_errors=True)


def is_refusal(because: Exception) -> bool:
    """Tell whether an end is for good: the rule `"refused"`.

    As `is_final`, but a peer that says goodbye, with 1000 or without a code (1005), comes back: servers that restart,
    or miss a ping, do so.

    Args:
        because: The peer's `Close`, or the error that ended the connection.

    >>> [is_refusal(Close(code)) for code in (1000, 1008, 4000)]
    [False, True, True]
    """
    return _is_final(because, lambda code: code == 1008 or code >= 4000, client_errors=True)


def is_fault(because: Exception) -> bool:
    """Tell whether an end is for good: the rule `"never"`. Only an error of the program's own is; no peer's word.

    Args:
        because: The peer's `Close`, or the error that ended the connection.

    >>> [is_fault(Close(4000)), is_fault(KeyError("token"))]
    [False, True]
    """
    return _is_final(because, lambda code: False, client_errors=False)


def _is_final(because: Exception, is_last: Callable[[int], bool], *, client_errors: bool) -> bool:
    match because:
        case Close(code=code):
            return is_last(code)
        case ConnectError(status=int(status)):
            return client_errors and 400 <= status < 500 and status not in TRY_AGAIN
        case ExceptionGroup(exceptions=several):
            return any(_is_final(one, is_last, client_errors=client_errors) for one in several)
        case _:
            return isinstance(because, EncodeError) or not isinstance(because, (RxwsError, OSError))


FinalRule = Literal["polite", "refused", "never"]
"""What ends a client for good: any goodbye of the peer's; only what says that it is not welcome; nothing it says."""

RULES: Final[Mapping[object, Callable[[Exception], bool]]] = {
    "polite": is_final,
    "refused": is_refusal,
    "never": is_fault,
}


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """How a client comes back: exponentially longer waits, jittered, and again short ones after a stable connection.

    The wait is `jitter(min(maximum, initial * factor ** n))` after n failures in a row and one more, plus what a
    server's `Retry-After` asks for. So the first wait is `initial` seconds at most. A server that restarts gets
    `clients / initial` attempts a second at first, then fewer, and finally `2 * clients / maximum`. Raise `initial` for
    a fleet; with half of `maximum`, the rate is flat from the start.

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
    """Seconds after which a connection is replaced, for servers that cut at a certain age; `None` for never. If a
    rotation is given up for what is not the end for good, the next one comes after `initial` seconds, then after
    `factor` times as long, up to `rotate_every`."""
    stale_after: float | None = None
    """Seconds without a message after which a connection is given up, though its pings are answered: for feeds that may
    fall silent; `None` for never. While reading is held, no message is missed."""
    final: FinalRule | Callable[[Exception], bool] = "polite"
    """What is the end for good: `"polite"`, see `is_final`, `"refused"`, see `is_refusal`, `"never"`, see `is_fault`;
    or a function that returns whether a `Close` or an error is."""

    def __post_init__(self) -> None:
        for name in ("initial", "maximum", "reset_after"):
            positive(name, getattr(self, name), "seconds")
        if self.rotate_every is not None:
            positive("rotate_every", self.rotate_every, "seconds", none="never")
        if self.stale_after is not None:
            positive("stale_after", self.stale_after, "seconds", none="never")
        number("factor", self.factor, "1 or more", lambda factor: factor >= 1)
        if self.maximum < self.initial:
            raise ValueError(f"maximum must not be below initial, {self.initial!r}, but is {self.maximum!r}")
        if self.max_attempts is not None:
            positive_int("max_attempts", self.max_attempts, "attempts", none="no limit")
        if not callable(self.jitter):
            raise TypeError(f"jitter must be a function, not {self.jitter!r}")
        for name in ("jitter", "final"):
            if inspect.iscoroutinefunction(getattr(self, name)):
                raise TypeError(f"{name} must be a function, not a coroutine function: it cannot be awaited")
        if not callable(self.final) and self.final not in tuple(RULES):
            raise TypeError(f"final must be a function, or one of {', '.join(map(repr, RULES))}, not {self.final!r}")

    def is_last(self, because: Exception) -> bool:
        """Tell whether an end is for good; raises what a function for `final` does.

        Args:
            because: The peer's `Close`, or the error that ended the connection.
        """
        final = self.final
        return (final if callable(final) else RULES[final])(because)

    def delay(self, failures: int, because: Exception) -> float:
        """Choose how many seconds to wait after `failures` failures in a row, this one not counted.

        Args:
            failures: Failures in a row before this one.
            because: Why the connection ended; it may ask for a longer wait.
        """
        try:
            ceiling = min(self.maximum, self.initial * float(self.factor) ** failures)
        except OverflowError:
            ceiling = self.maximum
        asked = max(one.retry_after or 0.0 if isinstance(one, ConnectError) else 0.0 for one in leaves(because))
        delay = self.jitter(ceiling)
        if not (math.isfinite(delay) and delay >= 0):
            raise ValueError(f"jitter must return a number of seconds, 0 or more, not {delay!r}")
        return delay + min(asked, LONGEST_RETRY_AFTER)
