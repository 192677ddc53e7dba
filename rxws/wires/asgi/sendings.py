"""Readers that send, and a timer of their event loop that sees which of them wait for that."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import Final, Protocol
from weakref import WeakValueDictionary

from rxws.wires.pieces import keep_pieces

STALL: Final = 0.1
"""Seconds: a server that makes us wait for so long has a slow reader, which then has read something.

Some servers make us wait for each message, if only for a turn of the event loop: the peer has no part in that.
"""

LOOK: Final = STALL / 2
"""Seconds between two looks for readers that wait for `send`: the second one that finds the same has another read."""

UNSEEN: Final = -1
"""What stands for the count of a wire that was not looked at."""

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
        """Look after another one, too."""
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
        asyncio.get_running_loop().call_later(LOOK, self.look, context=Context())

    def over(self, wire: Sender) -> None:
        """Forget a wire."""
        self._waiting.pop(wire, None)
        if self.last is wire:
            self.last = None


_sendings: WeakValueDictionary[asyncio.AbstractEventLoop, Sendings] = WeakValueDictionary()
"""Their wires keep them."""


def sendings_of(loop: asyncio.AbstractEventLoop) -> Sendings:
    """Find or make those of an event loop."""
    found = _sendings.get(loop)
    if found is None:
        keep_pieces()
        found = _sendings[loop] = Sendings()
    return found
