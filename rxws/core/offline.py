"""The messages that wait for a connection: which of them, and for how long."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Final

from rxws.core.buffer import Buffer
from rxws.core.wire import Frame, Limited
from rxws.policies import Expire, Offline, policy_of

NEVER: Final = float("inf")


class OfflineQueue:
    """Applies an offline policy to what goes into a buffer while there is no connection.

    Memory: none of its own. What has expired makes room when the buffer, of `limit` bytes, is full.
    """

    def __init__(
        self, offline: Offline, buffer: Buffer, limit: int, loop: AbstractEventLoop, drop: Callable[[Frame], object]
    ) -> None:
        self._offline: Offline = offline
        self._buffer = buffer
        self._limit = limit
        self._loop = loop
        self._drop = drop
        self._newest: Frame | None = None  # the one with the policy "latest" that waits, if any
        self._first_expiry = NEVER  # no message that waits expires before; saves a look through all of them
        self.may_expire = False
        """Whether any message has ever been given an expiry. If not, `fresh` need not be called."""

    def keep(self, item: Frame) -> Frame | None:
        """Return the frame that is to wait, or `None` if the policy drops it.

        Raises what the policy function raises, or `ValueError` if that returns something that is not a policy.
        """
        policy, now = policy_of(self._offline, item.message), self._loop.time()
        match policy:
            case "drop":
                self._drop(item)
                return None
            case "latest":
                item = Limited(item)  # a copy, which is found again by identity: frames may be shared
                before, self._newest = self._newest, item
                for older in self._buffer.remove(lambda other: other is before):
                    self._drop(older)
            case Expire(seconds):
                self.may_expire = True
                item = Limited(item, expires=now + seconds)
                self._first_expiry = min(self._first_expiry, now + seconds)
            case _:
                pass
        if self._buffer.weight + item.weight > self._limit and self._first_expiry < now:
            self._first_expiry = NEVER
            for older in self._buffer.remove(lambda other: self._has_expired(other, now)):
                self._drop(older)
        return item

    def fresh(self, items: list[Frame]) -> list[Frame]:
        """Drop the messages that are too old to be sent, and give the others."""
        fresh: list[Frame] = []
        now = self._loop.time()
        for item in items:
            if _is_over(item.expires, now):
                self._drop(item)
            else:
                fresh.append(item)
        return fresh

    def forget(self) -> None:
        """Record that a connection opened or ended: "latest" covers one absence."""
        self._newest = None

    def _has_expired(self, item: Frame, now: float) -> bool:
        if _is_over(item.expires, now):
            return True
        if item.expires is not None:
            self._first_expiry = min(self._first_expiry, item.expires)
        return False


def _is_over(expires: float | None, now: float) -> bool:
    return expires is not None and expires < now
