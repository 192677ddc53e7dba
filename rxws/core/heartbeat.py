"""Our own pings: they detect dead peers, and measure the round trip."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Final, Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

from rxws.core.wire import Wire
from rxws.stats import Counters

GRACE: Final = 0.1
"""The share of the interval that passes between two checks for a pong.

If the event loop was blocked at the first check, the pong may be there but unread. It is read before the second one.
"""

PINGERS_A_TURN: Final = 64
"""Pingers that act in one turn of the event loop. If more are due, as after a restart, they act in the next turns."""


class Pinged(Protocol):
    """A connection that has a heartbeat."""

    wire: Wire
    counters: Counters
    context: Context
    """The context (`ContextVar`s) in which the heartbeat calls these methods."""

    def send_ping(self) -> None:
        """Send a ping ahead of queued messages."""

    def heartbeat_missed(self) -> None:
        """Give up on the peer: it has shown no sign of life."""


class Pinger:
    """Pings every `interval` seconds. Gives up on a peer that shows no sign of life within `interval` after a ping.

    Any frame is a sign of life. Messages are counted, also those that wait unread. For another frame the connection
    sets `unseen` to `False`. While the wire is `blind`, a pong may wait unread: then a ping without an answer proves
    nothing, but a ping that could not be sent does.
    """

    __slots__ = (
        *("_action", "_awaited", "_connection", "_doubtful", "_interval", "_loop"),
        *("_number", "_queue", "_seen", "_sent"),
        *("after", "before", "rtt", "unseen", "when"),
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float, connection: Pinged) -> None:
        self.rtt: float | None = None
        self._loop = loop
        self._interval = interval
        self._connection = connection
        self._number = 0  # of the ping that the round trip is measured with
        self._sent: float | None = None  # when that was sent; `None` once it is answered
        self._awaited: asyncio.Future[float] | None = None  # the round trip that `beat` has promised
        self._doubtful = False  # whether an answer without a number may be for the ping before the last one
        self._seen = 0, 0  # the result of `_received` when the last ping was sent
        self.unseen = False
        """Whether nothing but messages may have come since the last ping. The connection sets it to `False`."""
        self.before: Pinger | None = None
        self.after: Pinger | None = None
        """The pingers that are due before and after this one."""
        self.when = 0.0
        """When it is due, in the event loop's time."""
        self._queue: BeatQueue | None = None  # the one that it waits in
        self._wait(interval, Pinger._send)

    def asked(self, number: int, now: float) -> None:
        """Start to measure, unless a measurement runs: a ping goes on the wire now, for this heartbeat or not."""
        if self._sent is None:
            self._number, self._sent = number, now

    def pong(self, number: int, now: float) -> None:
        """End the measurement, if this pong answers the ping that it began with, or a later one."""
        if number >= self._number:
            self._measure(now)

    def answered(self) -> None:
        """Take an answer without a number: a message. It ends the measurement if it must answer the last ping."""
        self.unseen = False
        if self._doubtful:
            self._doubtful, self._sent = False, None
        self._measure(self._loop.time())

    def beat(self) -> asyncio.Future[float]:
        """Ping now; return a future of the round trip in seconds. The next ping follows an interval later."""
        self.stop()
        self._awaited = self._loop.create_future()
        self._send()
        return self._awaited

    def stop(self) -> None:
        """Send no more pings."""
        queue, self._queue = self._queue, None
        if queue is not None:
            queue.remove(self)

    def detach(self) -> None:
        """Drop the reference to the connection, which has ended: it would be a circle of references."""
        del self._connection

    def act(self) -> None:
        """Do what is due."""
        self._queue = None
        self._connection.context.run(self._action, self)

    def _wait(self, delay: float, then: Callable[[Pinger], object]) -> None:
        self._action = then
        self._queue = queue_of(self._loop, delay)
        self._queue.add(self)

    def _measure(self, now: float) -> None:
        if self._sent is not None:
            self.rtt = now - self._sent
            self._sent = None
            if self._awaited is not None and not self._awaited.done():
                self._awaited.set_result(self.rtt)

    def _check(self) -> None:
        self._wait(self._interval * GRACE, Pinger._decide if self._is_silent() else Pinger._send)

    def _is_silent(self) -> bool:
        return self.unseen and self._received() == self._seen

    def _received(self) -> tuple[int, int]:
        """Count the messages that were received, and those that wait unread."""
        return self._connection.counters.received, self._connection.wire.unread

    def _decide(self) -> None:
        sent = self._sent is not None
        if self._is_silent() and not (sent and self._connection.wire.blind):
            self._connection.heartbeat_missed()
        else:
            self._send()

    def _send(self) -> None:
        self._doubtful, self._sent = self._sent is not None, None
        self.unseen = True
        self._seen = self._received()
        self._wait(self._interval * (1 - GRACE), Pinger._check)
        self._connection.send_ping()  # last, since it may raise, or call `stop`


class BeatQueue:
    """A queue of pingers with the same delay, in the order in which they are due. They share one timer.

    A timer for each pinger would take 0.4 KiB, including an aiohttp timer that was cancelled: asyncio keeps cancelled
    timers while most timers are live. Memory: two references in each pinger.
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
        """Add a pinger; it acts when the delay is over."""
        pinger.when = self._loop.time() + self._delay
        pinger.before, last = self._last, self._last
        if last is None:
            self._first = pinger
        else:
            last.after = pinger
        self._last = pinger
        self._arm()

    def remove(self, pinger: Pinger) -> None:
        """Remove a pinger. The timer is not cancelled: it fires once in an interval, whatever is in the queue."""
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
        """Let each pinger that is due act, even if others raise."""
        self._timer = None
        now = max(self._loop.time(), self._armed)
        try:
            for _ in range(PINGERS_A_TURN):
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
"""The queues of each event loop, by delay. A queue exists as long as pingers wait in it, or its timer is set."""


def queue_of(loop: asyncio.AbstractEventLoop, delay: float) -> BeatQueue:
    """Return the queue of an event loop for a delay in seconds; make it if there is none."""
    try:
        queues = _queues[loop]
    except KeyError:
        queues = _queues[loop] = WeakValueDictionary()
    queue = queues.get(delay)
    if queue is None:
        queue = queues[delay] = BeatQueue(loop, delay)
    return queue
