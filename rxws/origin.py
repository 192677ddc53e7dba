"""Where an item comes from, so that whoever is busy with it can hold its source.

Dispatch is synchronous: what reaches an operator while a socket hands on a message came from that socket, whatever
operators of RxPY's are in between. A task that is started meanwhile inherits it, as it inherits every `ContextVar`.
"""

from __future__ import annotations

from asyncio import CancelledError
from contextvars import ContextVar
from typing import Any, Final, Protocol

from reactivex import abc

from rxws.errors import not_cancelled


class Source(Protocol):
    """Where an item comes from. It can be told to wait: as often held as released, it goes on."""

    def hold(self) -> None:
        """Emit no more, as soon as possible."""
        ...

    def release(self) -> None:
        """End one hold."""
        ...

    def report(self, error: Exception) -> None:
        """Take what a subscriber has raised over an item of this source's."""
        ...


origin: Final = ContextVar[Source | None]("rxws_origin", default=None)
"""The source whose item is being handed on, if it can be held."""


def hand_on(item: Any, source: Source | None, observer: abc.ObserverBase[Any]) -> None:
    """Emit an item in the name of its source, later than that did; what the observer raises is for the source."""
    token = origin.set(source)
    try:
        observer.on_next(item)
    except (Exception, CancelledError) as error:
        if source is None:
            raise
        source.report(not_cancelled(error, "a subscriber"))
    finally:
        origin.reset(token)


class Holds:
    """The holds of one operator on its sources: while it is full, on everyone whose item comes or is there."""

    def __init__(self) -> None:
        self._held: set[Source] = set()

    def hold(self, source: Source | None) -> None:
        """Hold a source, once."""
        if source is not None and source not in self._held:
            self._held.add(source)
            source.hold()

    def release(self) -> None:
        """Release them all."""
        held, self._held = self._held, set()
        for source in held:
            source.release()
