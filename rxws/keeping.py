"""The messages that wait for a connection: which of them, and for how long."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Final

from rxws.offline import Expire, Offline, policy_of
from rxws.overflow import Buffer
from rxws.wire import Frame, Limited

NEVER: Final = float("inf")


class Keeping:
    """Applies an offline policy to what goes into a buffer while there is no connection.

    Memory: none of its own. What has expired makes room when the buffer, of `limit` bytes, is full.
    """

    def __init__(
        self,
        offline: Offline,
        buffer: Buffer,
        limit: int,
        loop: AbstractEventLoop,
        drop: Callable[[Frame], object],
    ) -> None:
        self._offline: Offline = offline
        self._buffer = buffer
        self._limit = limit
        self._loop = loop
        self._drop = drop
        self._newest: Frame | None = None  # of those with the policy "latest"
        self._first_expiry = NEVER  # of what waits, or earlier

    def keep(self, item: Frame) -> Frame | None:
        """Give what shall wait for a message, or drop it; raises what the policy does, or `ValueError`."""
        match policy_of(self._offline, item.message):
            case "drop":
                self._drop(item)
                return None
            case "latest":
                item = Limited(item)  # an object of its own
                before, self._newest = self._newest, item
                for older in self._buffer.remove(lambda other: other is before):
                    self._drop(older)
            case Expire(seconds):
                item = Limited(item, expires=self._loop.time() + seconds)
                self._first_expiry = min(self._first_expiry, self._loop.time() + seconds)
            case _:
                pass
        if self._buffer.weight + item.weight > self._limit and self._first_expiry < self._loop.time():
            self._first_expiry = NEVER
            for older in self._buffer.remove(self._has_expired):
                self._drop(older)
        return item

    def has_expired(self, item: Frame) -> bool:
        """Tell whether a message is too old to be sent."""
        return item.expires is not None and item.expires < self._loop.time()

    def forget(self) -> None:
        """Take note that a connection has come or gone: "latest" is of one absence."""
        self._newest = None

    def _has_expired(self, item: Frame) -> bool:
        if self.has_expired(item):
            return True
        if item.expires is not None:
            self._first_expiry = min(self._first_expiry, item.expires)
        return False
