"""The turns of an event loop: what is written in one leaves together, but for the first."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Writing(Protocol):
    """Somebody who may have more to write in a turn."""

    awake: bool

    def flush(self) -> None:
        """Write it."""
        ...


class Turns:
    """Counts the turns in which something is written, and tells those who wait when one ends."""

    __slots__ = ("counting", "number", "waiting")

    def __init__(self) -> None:
        self.number = 0
        self.counting = False
        """Whether the end of this turn will be noticed."""
        self.waiting: list[Writing] = []
        """Who will write when it ends, if still awake."""

    def count(self) -> None:
        """Notice the end of this turn."""
        self.counting = True
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self.counting = False
        self.number += 1
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            if one.awake:
                one.flush()
