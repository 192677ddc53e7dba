"""Items that wait for an operator that is busy."""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, TypeVar

from rxws.rx.holds import Source

T = TypeVar("T")

MAX_WAITING: Final = 1024
"""Items that may wait although nobody can hold their source: it cannot be, it emits in a hold, or it has ended."""


class Waiting(Generic[T]):
    """A queue of one item for each source that is held because of it, and of `MAX_WAITING` others."""

    def __init__(self) -> None:
        self._items: deque[tuple[T, Source | None]] = deque()
        self._allowed = MAX_WAITING

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T, held: Source | None) -> bool:
        """Keep an item, and the source that is `held` because of it; tell whether there was room."""
        if len(self._items) >= self._allowed:
            self._allowed = MAX_WAITING + sum(source is not None and not source.gone for _, source in self._items)
            if len(self._items) >= self._allowed:
                return False
        self._items.append((item, held))
        return True

    def pop(self) -> T:
        """Take the oldest."""
        return self._items.popleft()[0]

    def clear(self) -> None:
        """Forget them."""
        self._items.clear()
