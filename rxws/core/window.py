"""How much is in flight: a window that adapts to the path, so that the peer gets fresh messages.

`docs/freshness.md` explains the rule.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Final, NamedTuple

from rxws.core.wire import MESSAGE_WEIGHT, Frame, Wire
from rxws.stats import Counters

FIRST_SIZE: Final = 8 * 1024
"""Bytes of the window at the start."""

SMALLEST_SIZE: Final = 1024
"""Bytes of the smallest window.

One message may go, whatever it weighs, while no ping is on its way. So two messages may be on the path even then.
"""

TARGET_DELAY: Final = 0.1
"""Seconds by which a round trip may exceed the smallest one: the time that messages wait on the path."""

PING_SPACING: Final = 4 * 1024
"""Bytes after which a ping goes, in a window of medium size.

A ping goes after a quarter of the window if that is more, and after half of the window if that is less. For a reader
that keeps up, pings are fewer: one goes when only this much is left of the window, or of `ROOMY_SIZE` if that is
smaller, but not before half of the window is used.
"""

SHORTEST_TRIP: Final = 1e-6
"""Seconds that a round trip takes at least, even if the clock shows 0."""

TRUSTED_FOR: Final = 1.0, 10.0
"""Seconds that the smallest round trip is trusted, if no other one was about as short: at first, and later."""

ROOMY_SIZE: Final = 24 * 1024
"""Bytes up to which the window grows for a reader that keeps up, so that pings are few."""

MUTE_AFTER: Final = 2.0
"""Seconds that a full window waits for the first pong of a peer that may never answer."""

MAX_MARKS: Final = 64
"""Pings in flight that are remembered."""


class Mark(NamedTuple):
    """A ping in flight."""

    number: int
    at: float
    """When it was sent, in the event loop's time."""
    messages: int
    """The number of messages sent before it."""
    sent: int
    """The bytes sent before it."""
    flight: int
    """Those of these bytes that were not confirmed when it was sent."""


class SmallestTrip:
    """The round trip when nothing waits on the path, as far as that is known.

    The value may be too long. A peer that begins to read late answers its first pings late. The window then keeps so
    much on the path that no later round trip is shorter. So the value becomes `doubtful` if no round trip was about as
    short for a while. It is trusted for longer if a round trip was just as short with more bytes in flight.
    """

    __slots__ = ("_first_flight", "_seen", "_since", "_trusted_for", "trip")

    def __init__(self, now: float) -> None:
        self.trip = float("inf")
        self._seen = now
        self._since = now  # when the first pong came: earlier pings also measure the time that the peer takes to start
        self._first_flight = 0  # bytes in flight at the first short round trip after that
        self._trusted_for = TRUSTED_FOR[0]

    def see(self, mark: Mark, trip: float, now: float) -> None:
        """Take a round trip into account."""
        if self.trip == float("inf"):
            self._since = now
        if trip < self.trip + TARGET_DELAY / 20:
            self._seen = now
            if mark.at >= self._since:
                self._first_flight = self._first_flight or mark.flight
                if mark.flight > 1.5 * self._first_flight:
                    self._trusted_for = TRUSTED_FOR[1]
        self.trip = min(trip, self.trip)

    def measured(self, trip: float, now: float) -> None:
        """Set the smallest round trip: when its ping was sent, almost nothing else was in flight."""
        self.trip, self._seen, self._trusted_for = trip, now, TRUSTED_FOR[1]

    def doubtful(self, now: float) -> bool:
        """Return whether to measure it again. A short one is never in doubt: an error in it does no harm."""
        return self.trip > TARGET_DELAY / 4 and now - self._seen > self._trusted_for


class SendWindow:
    """Bounds the bytes in flight: those sent, and not confirmed by a pong for a ping behind them.

    Once the peer's program counts what it has taken, its counts confirm messages, and pongs no longer do.

    A message may go while fewer than `size` bytes are in flight, or no ping is on its way. A ping goes before it now
    and then, so that there is always a message behind a ping: some peers answer when they read that.

    Once a round trip, `size` follows the path:

    - A round trip longer than the smallest one by more than `TARGET_DELAY` shrinks it in proportion, at most by half.
    - A shorter round trip makes it grow in proportion, if the window kept messages from going. If the round trip is
      longer than the smallest one by less than a quarter of `TARGET_DELAY`, `size` doubles.
    - For a reader that keeps up it doubles, too, up to `ROOMY_SIZE`.
    - If the smallest round trip is in doubt, `size` is `SMALLEST_SIZE` for one round, and the trip is measured again. A
      window that has shrunk to `SMALLEST_SIZE` measures it, too.

    The window has no effect while no pong can be read (`Wire.blind`), nor for a peer that has not answered any ping
    within `MUTE_AFTER`. Bytes are weights, as `max_buffered` counts them, without what compression has saved.

    Memory: `MAX_MARKS` pings on their way.
    """

    __slots__ = (
        *("_answered", "_besides", "_besides_bytes", "_confirmed", "_context", "_last", "_limited", "_loop"),
        *("_counters", "_expects_count", "_grows", "_keeps_up", "_marks", "_next_ping", "_ping", "_ponged", "_probing"),
        *("_pinged", "_round", "_rules", "_smallest", "_taken", "_timer", "_trip", "_until", "_wire"),
        *("mute", "size"),
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        wire: Wire,
        context: Context,
        ping: Callable[[], bool],
        *,
        counted: bool = False,
    ) -> None:
        """Begin. Its timer runs in `context`; `ping` offers the wire a ping, and returns whether the wire took it.

        If `counted`, the peer's program is expected to count: pongs confirm nothing for the first `MUTE_AFTER` seconds.
        """
        self.size = FIRST_SIZE
        self.mute = False
        """Whether the peer is assumed to answer no pings."""
        self._loop = loop
        self._wire = wire
        self._context = context
        self._ping = ping
        self._marks: deque[Mark] = deque()
        self._counters = Counters()  # of messages sent; the wire adds what compression saves
        self._besides = self._besides_bytes = 0  # messages, and their bytes, that these counters lack
        self._until = 0  # the `sent_bytes` up to which messages may go without a check
        self._confirmed = 0
        self._last = 0  # the weight of the last message
        self._taken: int | None = None  # messages that the peer's program has taken; `None` if it does not count
        self._pinged = -PING_SPACING  # bytes sent before the last ping: the first one goes before all
        self._next_ping = 0  # bytes sent at which a ping is due
        self._round = 0  # bytes sent at which a round ends, when they are confirmed
        self._limited = False  # in this round: whether messages were kept from going
        self._grows = loop.time() + TARGET_DELAY  # from when on the window grows for a reader that keeps up
        self._keeps_up = False  # whether the reader does, and no message had to wait
        self._answered = False
        self._smallest = SmallestTrip(loop.time())
        self._probing: tuple[int, float] | None = None  # the size before, and the bytes a second that the path took
        self._expects_count = counted  # until the first count comes, or `MUTE_AFTER` has passed
        self._ponged = 0  # the number of the last ping that was answered until then
        self._trip: float | None = None
        self._rules = True  # whether this bounds the bytes in flight; if not, the wire does, as far as it can
        self._timer: asyncio.TimerHandle | None = None

    def belong(self, counters: Counters) -> None:
        """Count what is sent in these counters from now on."""
        messages, sent_bytes = self.messages, self.sent_bytes
        self._counters, self._besides, self._besides_bytes = counters, 0, 0
        self._besides, self._besides_bytes = messages - self.messages, sent_bytes - self.sent_bytes

    @property
    def messages(self) -> int:
        """The number of messages sent."""
        return self._counters.sent + self._besides

    @property
    def sent_bytes(self) -> int:
        """The bytes sent. What compression saves is subtracted as soon as it is known."""
        counters = self._counters
        weight = counters.sent_bytes + MESSAGE_WEIGHT * counters.sent
        return weight - counters.sent_saved + self._besides_bytes

    @property
    def flight(self) -> tuple[int | None, float | None]:
        """The bytes in flight, and their age in seconds; `None` if the peer does not confirm. From any thread.

        The age is the time from the last confirmed message to its confirmation, or since the oldest ping without an
        answer was sent, if that is longer.
        """
        if self.mute:
            return None, None
        in_flight, age = self.sent_bytes - self._confirmed, self._trip
        if age is not None:
            try:
                waits = self._loop.time() - self._marks[0].at
            except IndexError:  # no ping is in flight; the last may have been answered just now, in another thread
                pass
            else:
                age = waits if waits > age else age
        return in_flight if in_flight > 0 else 0, age

    # What is sent

    def sent(self, frames: Sequence[Frame]) -> None:
        """Record frames that the wire has taken, and that the counters have counted.

        The counters count payloads and messages. Here, a message of several frames counts as several messages.
        """
        for frame in frames:
            self._last = frame.weight
            if frame.parts:
                self._besides += len(frame.parts) - 1
                self._besides_bytes += frame.weight - len(frame.data) - MESSAGE_WEIGHT

    def sent_besides(self, frames: Sequence[Frame]) -> None:
        """Count frames that the wire has taken, and that the counters do not count, such as a heartbeat's."""
        self.sent(frames)
        self._besides += len(frames)
        self._besides_bytes += sum(len(frame.data) + MESSAGE_WEIGHT for frame in frames)

    @property
    def closed(self) -> bool:
        """Whether no message may go."""
        sent, marks = self.sent_bytes, self._marks
        return (
            sent >= self._until
            and sent - self._confirmed >= self.size
            and bool(marks)
            and marks[-1].sent < sent
            and not (self.mute or self._wire.blind)
        )

    @property
    def due(self) -> bool:
        """Whether a ping is to go before the next message."""
        return self.sent_bytes >= self._next_ping and not (self.mute or self._wire.blind)

    def admits(self) -> bool:
        """Return whether a message that waits may go; if not, a pong will make room."""
        if self.closed:
            self._limited = True
            if not self._answered and self._timer is None:
                self._timer = self._loop.call_later(MUTE_AFTER, self._give_up, context=self._context)
            return False
        if self._wire.blind:
            self._round = self.sent_bytes  # the pings in flight measure nothing: their pongs wait unread
            self._rule(False)
        return True

    @property
    def room(self) -> int:
        """Bytes that may go without a check. At 0 or less, call `admits` before a message, and `due` before a ping."""
        return self._until - self.sent_bytes

    def room_past(self, gathers: bool) -> int:
        """Return how many bytes may go past the endpoint; if not 0, one message may go that weighs more.

        If a ping is due it goes first, but only if the wire `gathers`, that is, writes later what it takes now. If not,
        the result is 0: the message waits, and goes with the ping.
        """
        if self.room <= 0 and not (gathers and self.admits() and (not self.due or self._ping())):
            return 0
        return max(self.room, 1)

    # What is confirmed

    def asked(self, number: int, now: float) -> None:
        """Record that a ping goes."""
        sent = self._pinged = self.sent_bytes
        if len(self._marks) < MAX_MARKS:
            self._marks.append(Mark(number, now, self.messages, sent, sent - self._confirmed))
        self._set_limits()

    def answered(self, number: int, now: float) -> bool:
        """Confirm what was sent before a ping; return whether that confirms anything more."""
        if self._expects_count:
            self._ponged = number
            return False
        return self._taken is None and self._confirm(lambda mark: mark.number <= number, now)

    def taken(self, count: object, now: float) -> bool:
        """Confirm the first `count` messages; return whether that confirms anything more.

        From now on pongs confirm nothing. Raises `TypeError` or `ValueError` for an impossible number.
        """
        expected = "in_flight returns how many messages the peer has taken so far on its connection"
        if type(count) is not int:
            raise TypeError(f"{expected}, or None, not {count!r}")
        least, most = self._taken or 0, self.messages
        if not least <= count <= most:
            raise ValueError(f"{expected}: {least} to {most} is possible now, not {count}")
        if self._taken is None:
            self._smallest = SmallestTrip(now)  # round trips now include the program's time
            self._probe(0.0)
            self._set_limits()
        self._taken, self._expects_count = count, False
        return self._confirm(lambda mark: mark.messages <= count, now)

    def _confirm(self, is_confirmed: Callable[[Mark], bool], now: float) -> bool:
        mark = None
        while self._marks and is_confirmed(self._marks[0]):
            mark = self._marks.popleft()
        if mark is None:
            return False
        self.stop()
        self._answered, self.mute = True, False
        self._rule(True)
        self._confirmed = mark.sent
        self._measure(mark, now - mark.at)
        self._set_limits()
        return True

    def _measure(self, mark: Mark, trip: float) -> None:
        """Adapt the window to the path, once a round."""
        self._trip, smallest, now = trip, self._smallest, self._loop.time()
        smallest.see(mark, trip, now)
        if mark.sent < self._round:
            return
        limited, self._limited, self._round = self._limited, False, self.sent_bytes
        is_short = trip < smallest.trip + TARGET_DELAY / 4
        self._keeps_up = is_short and not limited
        if self._probing is not None:
            (size, rate), self._probing = self._probing, None
            smallest.measured(trip, now)
            self.size = max(SMALLEST_SIZE, min(size, int(rate * (trip + TARGET_DELAY))))
            return
        if smallest.doubtful(now):
            self._probe(mark.flight / trip)
            return
        wanted = smallest.trip + TARGET_DELAY
        fits = int(mark.flight * wanted / max(trip, SHORTEST_TRIP)) - self._last
        if trip > wanted:
            if self.size == SMALLEST_SIZE:
                smallest.measured(trip, now)
            self.size = max(SMALLEST_SIZE, min(self.size, mark.flight) // 2, min(self.size, fits))
        elif limited and self.sent_bytes - mark.sent > self.size // 4:
            double = 2 * self.size
            self.size = double if is_short else max(self.size, min(double, fits))
        elif is_short and now > self._grows:
            self.size = max(self.size, min(2 * self.size, ROOMY_SIZE))

    def _probe(self, rate: float) -> None:
        """Let the path run empty, to see how long a round trip takes then."""
        self._probing = self.size, rate
        self.size = SMALLEST_SIZE
        self._round = self.sent_bytes + 1  # so that a ping that was sent just now does not end the round

    def _set_limits(self) -> None:
        """Compute when the next ping is due, and how many bytes may go without a check."""
        part = max(self.size // 4, min(self.size // 2, PING_SPACING))
        if self._keeps_up:
            part = max(self.size // 2, min(self.size, ROOMY_SIZE) - PING_SPACING)
        self._next_ping = self._pinged + part
        before, self._until = self._until, min(self._next_ping, self._confirmed + self.size)
        if self.mute:
            self._until = sys.maxsize
        if self._until < before:
            self._wire.look_at_room()

    # How it ends

    def _give_up(self) -> None:
        """Assume that the peer does not count; if it does not answer pings either, assume that it never will."""
        counts, self._expects_count = self._expects_count, False
        if not (counts and self.answered(self._ponged, self._loop.time())):
            self.mute = True
            self._set_limits()
            self._rule(False)
        self._wire.wake()

    def _rule(self, rules: bool) -> None:
        """Record whether this bounds the bytes in flight. If not, the wire keeps as few in flight as it can."""
        if rules is not self._rules:
            self._rules = rules
            self._wire.keep_fresh(not rules)

    def stop(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def detach(self) -> None:
        """Drop the references to the connection, when it has ended: they would be a circle."""
        del self._wire, self._context, self._ping
