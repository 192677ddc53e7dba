"""Readers that send, and a timer of their event loop that sees which of them wait for that."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Final, Protocol
from weakref import WeakValueDictionary

from rxws.wires.pieces import keep_pieces

STALL: Final = 0.1
"""Seconds of waiting for `send` that mean a slow peer, which has read something when the wait ends.

Some servers make us wait a turn of the event loop for each message, however fast the peer reads.
"""

LOOK_EVERY: Final = STALL / 2
"""Seconds between two looks. A reader that waits for the same `send` at both is replaced by another task."""

UNSEEN: Final = -1
"""The count of a wire that was not looked at yet."""

SENDING: Final = object()
"""What a wire's `answer` is while its reader sends one."""


class Sender(Protocol):
    """A wire whose reader sends."""

    answer: object

    @property
    def received(self) -> int:
        """The messages that have come."""
        ...

    def read_on(self) -> None:
        """Read in another task, since the reader waits for `send`."""


class Sendings:
    """The wires of an event loop whose readers send. One timer looks after all of them, and ends when there are none.

    To look from time to time costs less than to see each wait: each message would pass through one more frame.
    """

    __slots__ = ("__weakref__", "_looks", "_waiting", "last")

    def __init__(self) -> None:
        self.last: Sender | None = None
        """The one whose reader sent last, and may wait; `None` while the timer need not run."""
        self._waiting = dict[Sender, int]()  # others: the messages that they had received at the last look
        self._looks = False

    def change(self, wire: Sender) -> None:
        """Watch another wire, too."""
        if self.last is not None and self.last is not wire:
            self._waiting.setdefault(self.last, UNSEEN)
        self.last = wire
        if not self._looks:
            self._waiting[wire] = wire.received
            self._look_later()

    def look(self) -> None:
        """Have another task read where the reader still waits with the same message, and look again."""
        if self.last is not None:
            self._waiting.setdefault(self.last, UNSEEN)
        for wire, before in tuple(self._waiting.items()):
            if wire.answer is SENDING and before != wire.received:
                self._waiting[wire] = wire.received
                continue
            del self._waiting[wire]
            if wire.answer is SENDING:
                wire.read_on()
        self._looks = bool(self._waiting)
        if self._looks:
            self._look_later()
        else:
            self.last = None

    def _look_later(self) -> None:
        self._looks = True
        asyncio.get_running_loop().call_later(LOOK_EVERY, self.look, context=Context())

    def over(self, wire: Sender) -> None:
        """Forget a wire."""
        self._waiting.pop(wire, None)
        if self.last is wire:
            self.last = None


_sendings: WeakValueDictionary[asyncio.AbstractEventLoop, Sendings] = WeakValueDictionary()
"""By event loop; the wires keep them alive."""


def sendings_of(loop: asyncio.AbstractEventLoop) -> Sendings:
    """Find or make the `Sendings` of an event loop."""
    found = _sendings.get(loop)
    if found is None:
        keep_pieces()
        found = _sendings[loop] = Sendings()
    return found
