"""An event loop whose time passes at once when there is nothing to do but wait, and, if it ticks, when it is read."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    """Notes what reaches its exception handler in `exceptions`."""

    def __init__(self) -> None:
        self.now = self.tick = 0.0
        super().__init__(Selector(self))
        self.exceptions: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.exceptions.append(context))

    def time(self) -> float:
        self.now += self.tick
        return self.now

    def waiting(self) -> list[asyncio.Handle]:
        """Give the callbacks that are still to come."""
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        ready: list[asyncio.Handle] = list(self._ready)  # type: ignore[attr-defined]
        return [handle for handle in [*ready, *scheduled] if not handle.cancelled()]


class Selector(selectors.SelectSelector):
    """Waits by putting the clock forward."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        events = super().select(0)
        if not events and timeout is None:
            raise RuntimeError("nothing will ever happen any more")
        if not events and timeout is not None and timeout > 0:
            self._loop.now += timeout
        return events
