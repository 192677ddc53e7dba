"""Which messages may not have arrived: those sent after the last of our pings that the peer has answered."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from rxws.core.wire import Frame

ASK_AFTER: Final = 1.0
"""Seconds after which a ping asks about a message: its pong proves that all messages before it have arrived."""

ASK_AT: Final = 4
"""Messages after which a ping goes sooner. So pings are at most a quarter of the messages, or one a second.

Some servers count pings against a limit of messages: Binance drops a client that sends more than five a second.
"""

ASK_EVERY: Final = 0.05
"""Seconds between two pings if there are many messages."""


class Receipts:
    """Remembers what was handed to the transport until the peer answers a ping sent after it (RFC 6455, 5.5.2).

    A ping is `due` when the oldest message is a second old, when `ASK_AT` messages are unconfirmed and no ping was sent
    within `ASK_EVERY`, or when a quarter of `limit` is unconfirmed. Pings that others send count as well. While it is
    `full`, nothing may be sent. There are two exceptions, in which the wait might never end: no pong can be read, see
    `Wire.blind`, or the peer's pongs do not repeat our pings (uWSGI's are empty).

    Memory: at most `limit` bytes, or one message that is heavier alone. In the two exceptions it is twice as many
    bytes; beyond that, the oldest messages are forgotten, and counted.
    """

    __slots__ = (
        *("_arrived", "_asked", "_hurried", "_items", "_limit", "_loop", "_news", "_not_before", "_number"),
        *("_foreign", "_on_due", "_sent", "_stopped", "_timer", "_wanted", "_weight"),
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int, on_due: Callable[[], object]) -> None:
        self._loop = loop
        self._limit = limit
        self._on_due = on_due
        self._items: deque[Frame] = deque()
        self._weight = 0
        self._number = 0  # of the ping on its way
        self._asked: int | None = None  # how many messages were sent before that ping; `None` if none is on its way
        self._wanted = False
        self._timer: asyncio.TimerHandle | None = None
        self._hurried = False  # whether the timer waits for `_not_before`, not until the oldest message is old
        self._not_before = 0.0  # the event loop's time of the next ping that `ASK_AT` messages ask for
        self._sent = self._arrived = 0
        self._news: asyncio.Future[None] | None = None
        self._foreign = False  # whether the peer sends pongs, but none that answers a ping of ours
        self._stopped = False

    @property
    def full(self) -> bool:
        """Whether sending has to wait for a pong."""
        return self._weight >= self._limit and not self._foreign

    @property
    def forgotten(self) -> int:
        """How many messages are neither confirmed nor remembered."""
        return self._sent - len(self._items) - self._arrived

    def sent(self, item: Frame, *, blind: bool = False) -> None:
        """Remember a message; while the wire is `blind`, or no pong is ours, forget the oldest rather than wait."""
        items = self._items
        items.append(item)
        self._weight += item.weight
        self._sent += 1
        while (blind or self._foreign) and self._weight > 2 * self._limit and len(items) > 1:
            self._weight -= items.popleft().weight
        if self._weight > self._limit // 4 or self._news is not None:
            self._wanted = True
        elif not (self._wanted or self._hurried):
            self._ask_in_time()

    def ask(self) -> None:
        """Have a ping sent soon, if there is anything to ask about."""
        self._forget_timer()
        if self._items:
            self._wanted = True
            self._on_due()

    @property
    def due(self) -> bool:
        """Whether a ping is wanted, and none is on its way."""
        return self._wanted and self._asked is None

    @property
    def last_due(self) -> bool:
        """Whether one more ping is to go before our close frame, to ask about the messages that none has asked about.

        The peer may still answer it before it sends its own close frame.
        """
        return bool(self._items) and self._sent != self._asked

    def asked(self, number: int, *, last: bool = False) -> None:
        """Note that a ping goes.

        If another one is on its way, the answer to that is waited for, and this one does not count. The last ping
        before a close frame always counts.
        """
        if self._asked is None or last:
            self._forget_timer()
            self._wanted = False
            self._not_before = self._loop.time() + ASK_EVERY
            self._number, self._asked = number, self._sent

    def answered(self, number: int) -> bool:
        """Forget the messages that have arrived, if this answers the ping that counts; return whether it does."""
        if self._asked is None or number < self._number:
            return False
        for _ in range(self._asked - (self._sent - len(self._items))):  # some may be forgotten
            self._weight -= self._items.popleft().weight
        self._arrived, self._asked, self._foreign = self._asked, None, False
        self._tell()
        if not self._items:
            self._forget_timer()
        elif not self._wanted:
            self._ask_in_time()
        return True

    def unasked(self) -> bool:
        """Note a pong that answers no ping of ours; return whether messages that waited for a pong may go now."""
        was_full = self.full
        self._foreign |= self._asked is not None and not self._arrived
        return was_full and self._foreign

    def unconfirmed(self) -> list[Frame]:
        """Remove and return the messages that are not confirmed."""
        items = list(self._items)
        self._items.clear()
        self._weight = 0
        return items

    async def arrival(self, more: int | None = None) -> None:
        """Wait until all messages have arrived, including those sent meanwhile, or until the connection ends.

        With `more`, wait only for the messages sent so far and the next `more` ones.
        """
        target = None if more is None else self._sent + more
        while self._arrived < (self._sent if target is None else target) and not self._stopped:
            self._news = self._loop.create_future()
            self.ask()
            await self._news

    async def answer(self) -> None:
        """Send a ping, even if no message is unconfirmed, and wait for its answer or for the connection's end."""
        if not self._stopped:
            self._wanted = True
            self._news = self._loop.create_future()
            self._on_due()
            await self._news

    def stop(self) -> None:
        """Send no more pings, and end all waits."""
        self._stopped = True
        self._forget_timer()
        self._tell()

    def detach(self) -> None:
        """Drop the reference to the wire, when the connection has ended: it would be a circle of references."""
        del self._on_due

    def _ask_in_time(self) -> None:
        """Set the timer for the next ping. If that is due now, set `_wanted` instead."""
        if self._asked is not None or len(self._items) < ASK_AT:
            if self._timer is None:
                self._timer = self._loop.call_later(ASK_AFTER, self.ask)
        elif (wait := self._not_before - self._loop.time()) <= 0:
            self._wanted = True
        else:
            self._forget_timer()
            self._hurried = True
            self._timer = self._loop.call_later(wait, self.ask)

    def _tell(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._hurried = False
