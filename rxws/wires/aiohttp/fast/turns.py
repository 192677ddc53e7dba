"""The turns of an event loop: what is written in one leaves together, but for the first."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Writing(Protocol):
    """Somebody who may have more to write in a turn."""

    waits: bool

    def flush(self) -> None:
        """Write it."""
        ...


class Turns:
    """Counts the turns in which something is written, and tells those who wait when one ends."""

    __slots__ = ("alone", "counting", "number", "waiting")

    def __init__(self) -> None:
        self.number = 0
        self.counting = False
        """Whether the end of this turn will be noticed."""
        self.alone = 0
        """The `id` of who was the only one to write in a turn, if nobody else has since; an `id` keeps nobody alive."""
        self.waiting: list[Writing] = []
        """Who will write when it ends."""

    def count(self) -> None:
        """Notice the end of this turn."""
        self.counting = True
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self.counting = False
        self.number += 1
        waiting, self.waiting = self.waiting, []
        self.alone = id(waiting[0]) if len(waiting) == 1 else 0
        for one in waiting:
            one.waits = False
            one.flush()
