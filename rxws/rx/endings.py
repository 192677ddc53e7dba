"""How a source ends, for a stream that completes because of it.

An Observable completes with nothing, so the how travels beside: as long as the observers of a source are told that it
completes, `how_it_ended` says how. What completes at once because of it, through whatever operators, may ask. A timer
or a task that is started meanwhile may not: what ends then ends by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final


class _Ending:
    """How one source ends, until all who are there have been told."""

    __slots__ = ("how",)

    def __init__(self, how: Any) -> None:
        self.how = how


_ending: Final = ContextVar[_Ending | None]("rxws_ending", default=None)


def how_it_ended() -> Any:
    """Return how the source has ended whose end is being told of; `None` if none is, or if it did not say."""
    ending = _ending.get()
    return None if ending is None else ending.how


def tell_ending(how: Any, notify: Callable[..., object], *args: Any) -> None:
    """Notify of a source's end, and say meanwhile how it has ended.

    >>> tell_ending("well", lambda: print(how_it_ended()))
    well
    >>> print(how_it_ended())
    None
    """
    ending = _Ending(how)
    token = _ending.set(ending)
    try:
        notify(*args)
    finally:
        _ending.reset(token)
        ending.how = None  # for tasks and timers, which have inherited it
