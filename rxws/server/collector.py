"""Python's garbage collector, which runs less often while many sockets open."""

from __future__ import annotations

import gc
from threading import RLock
from typing import Any, Final
from weakref import finalize

OBJECTS: Final = 5_000
"""Objects made, and not freed, before a collection, while anybody asks for patience; 700 or 2,000 by default."""

SELDOM: Final = 3
"""How many times as many collections come before one that visits all objects."""


class Collector:
    """Runs less often while anybody asks for patience, and then as before; one for the process.

    A socket that opens has some eighty objects that stay, and no reference cycles: to visit them again and again finds
    nothing, and takes a third of the time in which a crowd opens. A program that has chosen a larger threshold, or
    none, keeps its own. So does one that chooses another meanwhile.
    """

    def __init__(self) -> None:
        self._lock = RLock()  # the collector itself may free one that asks, while this thread has the lock
        self._asking: dict[int, finalize[Any, Any]] = {}
        self._before: tuple[int, int, int] | None = None
        self._now: tuple[int, int, int] | None = None

    def be_patient(self, asking: object) -> None:
        """Run less often until this one has had enough, or was freed."""
        with self._lock:
            if id(asking) in self._asking:
                return
            self._asking[id(asking)] = finalize(asking, self._enough, id(asking))
            objects, young, old = gc.get_threshold()
            if self._before is None and 0 < objects < OBJECTS:
                self._before, self._now = (objects, young, old), (OBJECTS, young, SELDOM * old)
                gc.set_threshold(*self._now)

    def go_on(self, asking: object) -> None:
        """Run as before, unless others still ask; once more does nothing."""
        self._enough(id(asking))

    def _enough(self, number: int) -> None:
        with self._lock:
            asking = self._asking.pop(number, None)
            if asking is None:
                return
            asking.detach()
            if not self._asking and self._before is not None:
                before, self._before = self._before, None
                if gc.get_threshold() == self._now:
                    gc.set_threshold(*before)


collector: Final = Collector()
"""That of this process."""
