"""Pings of our own: they find dead peers, and measure the round trip."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Final

from rxws.core.wire import Wire
from rxws.stats import Counters

GRACE: Final = 0.1
"""The share of the interval between two looks for a pong: when the event loop itself was late, it may be waiting."""


class Pinger:
    """Pings every `interval` seconds, and gives up on a peer that shows no sign of life within `interval` after.

    Any frame is a sign of life: messages by their count, those that wait unread too, others by being noted. While the
    wire is `blind` a pong may wait unread: an unanswered ping then proves nothing, unless it could not be sent itself.
    """

    __slots__ = (
        *("_asked", "_context", "_counters", "_doubtful", "_interval", "_loop", "_number", "_on_missed", "_seen"),
        *("_send_ping", "_sent", "_timer", "_wire", "rtt", "unseen"),
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interval: float,
        wire: Wire,
        counters: Counters,
        context: Context,
        send_ping: Callable[[], object],
        on_missed: Callable[[], object],
    ) -> None:
        """Begin; its timers run in `context`, and `on_missed` is called when the peer gave no sign of life."""
        self.rtt: float | None = None
        self._loop = loop
        self._interval = interval
        self._wire = wire
        self._counters = counters
        self._context = context
        self._send_ping = send_ping
        self._on_missed = on_missed
        self._number = 0  # of the ping that measures
        self._sent: float | None = None  # when it went, until it is answered
        self._asked: asyncio.Future[float] | None = None
        self._doubtful = False  # whether an answer may be that of the ping before
        self._seen = 0, 0  # messages when the last ping was sent
        self.unseen = False
        """Whether no other sign of life was seen since; who sees one says so."""
        self._timer = loop.call_later(interval, self._send, context=context)

    def asked(self, number: int, now: float) -> None:
        """Start the clock, unless it runs: a ping goes on the wire now, this one's or another's."""
        if self._sent is None:
            self._number, self._sent = number, now

    def pong(self, number: int, now: float) -> None:
        """Measure with a pong, if it answers the ping that the clock runs for, or a later one."""
        if number >= self._number:
            self._measure(now)

    def answered(self) -> None:
        """Note an answer in the application's words, and measure with it if it can only be that of the last ping."""
        self.unseen = False
        if self._doubtful:
            self._doubtful, self._sent = False, None
        self._measure(self._loop.time())

    def beat(self) -> asyncio.Future[float]:
        """Ping now, and promise the round trip; the next ping comes an interval later."""
        self._timer.cancel()
        self._asked = self._loop.create_future()
        self._send()
        return self._asked

    def stop(self) -> None:
        """End."""
        self._timer.cancel()

    def detach(self) -> None:
        """Forget the connection, which has ended, and has this."""
        del self._context, self._on_missed, self._send_ping, self._timer, self._wire

    def _measure(self, now: float) -> None:
        if self._sent is not None:
            self.rtt = now - self._sent
            self._sent = None
            if self._asked is not None and not self._asked.done():
                self._asked.set_result(self.rtt)

    def _look(self) -> None:
        then = self._judge if self._due() else self._send
        self._timer = self._loop.call_later(self._interval * GRACE, then, context=self._context)

    def _due(self) -> bool:
        return self.unseen and self._come() == self._seen

    def _come(self) -> tuple[int, int]:
        """Count the messages that have come, and those that wait: when they are handed on, what follows is read too."""
        return self._counters.received, self._wire.unread

    def _judge(self) -> None:
        sent = self._sent is not None
        if self._due() and not (sent and self._wire.blind):
            self._on_missed()
        else:
            self._send()

    def _send(self) -> None:
        self._doubtful, self._sent = self._sent is not None, None
        self.unseen = True
        self._seen = self._come()
        delay = self._interval * (1 - GRACE)
        self._timer = self._loop.call_later(delay, self._look, context=self._context)
        self._send_ping()  # last, since it may raise, or end all this
