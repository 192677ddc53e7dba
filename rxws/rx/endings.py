"""How a source ends, for a stream that completes because of it.

An Observable completes with nothing, so the how travels beside: as long as the observers of a source are told that it
completes, `how_it_ended` says how. What completes at once because of it, through whatever operators, may ask. A timer
or a task that is started meanwhile may not: what ends then ends by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Final

_ending: Final = ContextVar[Sequence[Any]]("rxws_ending", default=())
"""How one source ends; empty when all who are there have been told."""


def how_it_ended() -> Any:
    """Return how the source has ended whose end is being told of; `None` if none is, or if it did not say."""
    return next(iter(_ending.get()), None)  # it may be cleared in another thread


def tell_ending(how: Any, notify: Callable[..., object], *args: Any) -> None:
    """Notify of a source's end, and say meanwhile how it has ended.

    >>> tell_ending("well", lambda: print(how_it_ended()))
    well
    >>> print(how_it_ended())
    None
    """
    ending = [how]
    token = _ending.set(ending)
    try:
        notify(*args)
    finally:
        _ending.reset(token)
        ending.clear()  # for tasks and timers, which have inherited it
