"""Pings of our own: they find dead peers, and measure the round trip."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Final, Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

from rxws.core.wire import Wire
from rxws.stats import Counters

GRACE: Final = 0.1
"""The share of the interval between two looks for a pong: when the event loop itself was late, it may be waiting."""


DUE_A_TURN: Final = 64
"""Pingers that act in one turn of the event loop: the others that are due, as after a restart, follow in the next."""


class Pinged(Protocol):
    """A connection that has a heartbeat."""

    wire: Wire
    counters: Counters
    context: Context
    """Where the heartbeat acts."""

    def send_ping(self) -> None:
        """Send a ping before what is queued."""

    def heartbeat_missed(self) -> None:
        """Take the peer for lost."""


class Pinger:
    """Pings every `interval` seconds, and gives up on a peer that shows no sign of life within `interval` after.

    Any frame is a sign of life: messages by their count, those that wait unread too, others by being noted. While the
    wire is `blind` a pong may wait unread: an unanswered ping then proves nothing, unless it could not be sent itself.
    """

    __slots__ = (
        *("_asked", "_connection", "_doubtful", "_interval", "_queue", "_loop", "_number", "_seen", "_sent", "_then"),
        *("after", "before", "rtt", "unseen", "when"),
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float, connection: Pinged) -> None:
        self.rtt: float | None = None
        self._loop = loop
        self._interval = interval
        self._connection = connection
        self._number = 0  # of the ping that measures
        self._sent: float | None = None  # when it went, until it is answered
        self._asked: asyncio.Future[float] | None = None
        self._doubtful = False  # whether an answer may be that of the ping before
        self._seen = 0, 0  # messages when the last ping was sent
        self.unseen = False
        """Whether no other sign of life was seen since; who sees one says so."""
        self.before: Pinger | None = None
        self.after: Pinger | None = None
        """Those that are due before and after this one."""
        self.when = 0.0
        """When it is due, in the event loop's time."""
        self._queue: BeatQueue | None = None  # where it waits
        self._wait(interval, Pinger._send)

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
        self.stop()
        self._asked = self._loop.create_future()
        self._send()
        return self._asked

    def stop(self) -> None:
        """End."""
        queue, self._queue = self._queue, None
        if queue is not None:
            queue.remove(self)

    def detach(self) -> None:
        """Forget the connection, which has ended, and has this."""
        del self._connection

    def act(self) -> None:
        """Do what it has waited for."""
        self._queue = None
        self._connection.context.run(self._then, self)

    def _wait(self, delay: float, then: Callable[[Pinger], object]) -> None:
        self._then = then
        self._queue = queue_of(self._loop, delay)
        self._queue.add(self)

    def _measure(self, now: float) -> None:
        if self._sent is not None:
            self.rtt = now - self._sent
            self._sent = None
            if self._asked is not None and not self._asked.done():
                self._asked.set_result(self.rtt)

    def _look(self) -> None:
        self._wait(self._interval * GRACE, Pinger._judge if self._due() else Pinger._send)

    def _due(self) -> bool:
        return self.unseen and self._come() == self._seen

    def _come(self) -> tuple[int, int]:
        """Count the messages that have come, and those that wait: when they are handed on, what follows is read too."""
        return self._connection.counters.received, self._connection.wire.unread

    def _judge(self) -> None:
        sent = self._sent is not None
        if self._due() and not (sent and self._connection.wire.blind):
            self._connection.heartbeat_missed()
        else:
            self._send()

    def _send(self) -> None:
        self._doubtful, self._sent = self._sent is not None, None
        self.unseen = True
        self._seen = self._come()
        self._wait(self._interval * (1 - GRACE), Pinger._look)
        self._connection.send_ping()  # last, since it may raise, or end all this


class BeatQueue:
    """Pingers that wait equally long, in the order in which they are due: one timer of the event loop for all.

    A timer for each would take 0.4 KiB, with one of aiohttp's that has been cancelled: asyncio keeps cancelled timers
    while most are live.
    """

    __slots__ = ("__weakref__", "_armed", "_delay", "_first", "_last", "_loop", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float) -> None:
        self._loop = loop
        self._delay = delay
        self._first: Pinger | None = None
        self._last: Pinger | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed = 0.0  # when the timer is due

    def add(self, pinger: Pinger) -> None:
        """Let a pinger act when the delay is over."""
        pinger.when = self._loop.time() + self._delay
        pinger.before, last = self._last, self._last
        if last is None:
            self._first = pinger
        else:
            last.after = pinger
        self._last = pinger
        self._arm()

    def remove(self, pinger: Pinger) -> None:
        """Let it not act. The timer stays for the next one that comes: it is one for a whole interval."""
        before, after = pinger.before, pinger.after
        pinger.before = pinger.after = None
        if before is None:
            self._first = after
        else:
            before.after = after
        if after is None:
            self._last = before
        else:
            after.before = before

    def _arm(self) -> None:
        if self._timer is None and self._first is not None:
            self._armed = self._first.when
            self._timer = self._loop.call_at(self._armed, self._act)

    def _act(self) -> None:
        """Let those that are due act, each whatever the others raise."""
        self._timer = None
        now = max(self._loop.time(), self._armed)
        try:
            for _ in range(DUE_A_TURN):
                pinger = self._first
                if pinger is None or pinger.when > now:
                    break
                self.remove(pinger)
                try:
                    pinger.act()
                except Exception as error:
                    self._loop.call_exception_handler({"message": "a heartbeat failed", "exception": error})
        finally:
            self._arm()


_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[float, BeatQueue]] = WeakKeyDictionary()
"""Their pingers keep them."""


def queue_of(loop: asyncio.AbstractEventLoop, delay: float) -> BeatQueue:
    """Find or make the queue of an event loop for a delay."""
    try:
        queues = _queues[loop]
    except KeyError:
        queues = _queues[loop] = WeakValueDictionary()
    queue = queues.get(delay)
    if queue is None:
        queue = queues[delay] = BeatQueue(loop, delay)
    return queue
