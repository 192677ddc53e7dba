"""How a source ended, for a stream that completes because of it.

`on_completed` has no argument, so this travels beside it: while a source notifies its observers that it completes,
`how_it_ended` returns how. A stream that completes meanwhile, behind any operators, can ask. A timer or task that is
started meanwhile gets `None` later: a stream that it ends does not end because of the source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Final

_ending: Final = ContextVar[Sequence[Any]]("rxws_ending", default=())
"""How the source ended whose observers are being notified, as the only item; empty afterwards."""


def how_it_ended() -> Any:
    """Return how the source ended whose observers are being notified; `None` if there is none, or it did not say."""
    return next(iter(_ending.get()), None)  # not [0]: another thread may clear it meanwhile


def tell_ending(how: Any, notify: Callable[..., object], *args: Any) -> None:
    """Notify observers of a source's end; meanwhile `how_it_ended` returns `how`.

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
        ending.clear()  # tasks and timers have inherited it
