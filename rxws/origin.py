"""Where an item comes from, so that whoever is busy with it can hold its source.

Dispatch is synchronous: what reaches an operator while a socket hands on a message came from that socket, whatever
operators of RxPY's are in between. A task that is started meanwhile inherits it, as it inherits every `ContextVar`.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final, Protocol


class Holdable(Protocol):
    """A source that can be told to wait: as often held as released, it goes on."""

    def hold(self) -> None:
        """Emit no more, as soon as possible."""
        ...

    def release(self) -> None:
        """End one hold."""
        ...


origin: Final = ContextVar[Holdable | None]("rxws_origin", default=None)
"""The source whose item is being handed on, if it can be held."""


class Holds:
    """The holds of one operator on its sources: while it is full, on everyone whose item comes or is there."""

    def __init__(self) -> None:
        self._held: set[Holdable] = set()

    def hold(self, source: Holdable | None) -> None:
        """Hold a source, once."""
        if source is not None and source not in self._held:
            self._held.add(source)
            source.hold()

    def release(self) -> None:
        """Release them all."""
        held, self._held = self._held, set()
        for source in held:
            source.release()
