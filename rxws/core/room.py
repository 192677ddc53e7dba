"""Whether a socket's buffer has room: who fills it is held above the high-water mark, until it is nearly empty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rxws.core.buffer import Buffer


class Filling(Protocol):
    """Who fills the buffer, and can be told to wait."""

    def hold(self) -> None:
        """Send no more, as soon as possible."""
        ...

    def release(self) -> None:
        """End that hold."""
        ...


class Room:
    """Holds who fills a buffer while more than `high_water` bytes wait in it, and until a quarter of them does."""

    __slots__ = ("_buffer", "_callbacks", "_filling", "_high_water", "holding")

    def __init__(self, buffer: Buffer, high_water: int, filling: Filling) -> None:
        self.holding = False
        """Whether there is none."""
        self._buffer = buffer
        self._high_water = high_water
        self._filling = filling
        self._callbacks: tuple[Callable[[], object], ...] = ()

    @property
    def exceeded(self) -> bool:
        """Whether more waits than the mark allows."""
        return self._buffer.weight > self._high_water

    def when(self, callback: Callable[[], object]) -> None:
        """Call back once when there is room again."""
        self._callbacks = (*self._callbacks, callback)

    def hold(self) -> None:
        """There is none."""
        self.holding = True
        self._filling.hold()

    def look(self) -> None:
        """See whether there is room again."""
        if self._buffer.weight <= self._high_water // 4:
            self.release()

    def release(self) -> None:
        """There is room."""
        if self.holding:
            self.holding = False
            self._filling.release()
        callbacks, self._callbacks = self._callbacks, ()
        for callback in callbacks:
            callback()
