"""The sockets of one application: how many there may be, and their common end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from heapq import nlargest
from itertools import count
from threading import Lock
from typing import Any, Final

from reactivex import Observable

from rxws.close import Close
from rxws.core.lifecycle import Lifecycle
from rxws.core.log import SERVER, SocketLog, log_line
from rxws.core.socket import WebSocket
from rxws.rx.broadcast import Hot
from rxws.rx.foreign import described
from rxws.server.loop_watch import LoopWatch
from rxws.stats import HubStats, tally

CLOSINGS_A_TURN: Final = 32
"""Sockets that a shutdown closes before the event loop's other business gets its turn: some 2 ms of work."""

_numbers: Final = count()


class Hub:
    """What `rxws.setup` returns: the open sockets, counters, and the graceful shutdown.

    `len(hub)` and iteration give the open sockets. The counters may be read from any thread.
    """

    def __init__(
        self,
        max_connections: int | None,
        shutdown_code: int,
        shutdown_timeout: float,
        watch: LoopWatch | None = None,
    ) -> None:
        self.max_connections = max_connections
        """The sockets that may be open at once in this process; `None` for no limit."""
        self.opened_total = 0
        """Sockets opened so far."""
        self.closed_total: dict[int, int] = {}
        """Sockets closed so far, by close code."""
        self.refused_total: dict[str, int] = {}
        """Handshakes refused so far: `handshake` (400, 405, 426, 505), `origin` (403), `limit` and `shutdown` (503)."""
        self.errors_total: dict[str, int] = {}
        """Errors that `errors` of some socket emitted, or would have, so far; by the name of their class."""
        self.number = next(_numbers)
        """Which one it is of this process, in the order in which they were made: the same in each worker."""
        self._shutdown_close = Close(shutdown_code)
        self._shutdown_timeout = shutdown_timeout
        self._sockets: dict[Lifecycle, WebSocket[Any, Any]] = {}
        self._past = HubStats()  # of the closed sockets
        self._lock = Lock()  # a socket is among the open ones or in the past, for readers in other threads too
        self._taken: set[Lifecycle] = set()
        self._working: set[Lifecycle] = set()  # closed, with work that is not done
        self._remove = self.remove  # one bound method for all sockets
        self.begin(watch or LoopWatch())

    def begin(self, watch: LoopWatch) -> None:
        """Take sockets; also after a shutdown, if the application starts again. Counters go on, streams are new.

        Args:
            watch: What measures the lag of the event loop.
        """
        self._watch = watch
        self._shutting_down = False
        self._opened = Hot[WebSocket[Any, Any]](lambda error: _blame("opened", error))
        self._closed = Hot[WebSocket[Any, Any]](lambda error: _blame("closed", error))

    @property
    def opened(self) -> Observable[WebSocket[Any, Any]]:
        """Emits every socket when it opens; hot, completes when the application shuts down."""
        return self._opened

    @property
    def closed(self) -> Observable[WebSocket[Any, Any]]:
        """Emits every socket after it has closed; hot, completes when the application has shut down."""
        return self._closed

    @property
    def stats(self) -> HubStats:
        """Sum up the traffic of all sockets; takes about a microsecond for each open socket."""
        with self._lock:
            lives, total = tuple(self._sockets), copy(self._past)
            total.durations = total.durations.copy()
        for life in lives:
            total.add(life.counters, life.outgoing.dropped_count)
            messages, weight = life.outgoing.buffered
            total.buffered += messages
            total.buffered_bytes += weight
            total.held += life.held
            if (connection := life.connection) is not None and (window := connection.window) is not None:
                in_flight, age = window.flight
                total.in_flight += in_flight or 0
                total.age = max(total.age, age or 0.0)
        total.loop_lag = self._watch.lag
        return total

    @property
    def shutting_down(self) -> bool:
        """Whether the application shuts down, or has shut down: every new socket is refused."""
        return self._shutting_down

    def slowest(self, count: int = 10) -> list[WebSocket[Any, Any]]:
        """List the open sockets with the slowest peers, the slowest first; from any thread, like `stats`.

        They are ordered by the bytes that wait for them, then by the age of their messages (`stats.age`), then by their
        round-trip time. A socket for which all of these are zero or unknown is not slow.

        Args:
            count: The largest number of sockets to list.
        """
        with self._lock:
            sockets = tuple(self._sockets.values())
        measured = [(_slowness(socket), socket) for socket in sockets]
        slow = [one for one in measured if any(one[0])]
        return [socket for _, socket in nlargest(count, slow, key=lambda one: one[0])]

    def __len__(self) -> int:
        return len(self._sockets)

    def __iter__(self) -> Iterator[WebSocket[Any, Any]]:
        """Iterate over the sockets that are open now."""
        return iter(tuple(self._sockets.values()))

    def admit(self, life: Lifecycle) -> bool:
        """Take a place for a socket that is about to open, or refuse it; the place is free again at its end."""
        if self._shutting_down:
            self._refuse("shutdown", "the application shuts down", life.reports.log)
        elif self.max_connections is not None and len(self._taken) >= self.max_connections:
            full = f"all places of this process are taken: max_connections={self.max_connections}, in each process"
            self._refuse("limit", full, life.reports.log, warn="limit" not in self.refused_total)
        else:
            self._taken.add(life)
            life.on_closed = self._remove
            return True
        return False

    def _refuse(self, reason: str, why: str, log: SocketLog, *, warn: bool = False) -> None:
        """Count a handshake that does not become a socket."""
        tally(self.refused_total, reason)
        log.refused(reason, why, warn=warn)

    def add(self, socket: WebSocket[Any, Any], life: Lifecycle) -> None:
        """Count a socket as open, until it ends."""
        with self._lock:
            self._sockets[life] = socket
        self.opened_total += 1
        life.on_closed = self._remove
        if self._shutting_down:
            life.close(self._shutdown_close)
            life.at_end(life.thread.loop.call_later(self._shutdown_timeout, life.abort).cancel)
        if self._opened.observed:
            self._opened.emit(socket)

    def remove(self, life: Lifecycle) -> None:
        """Count a socket as closed; if it was admitted and did not open, just give its place back."""
        self._taken.discard(life)
        if life.work is not None or life.in_hand:
            self._follow_work(life)
        with self._lock:
            socket = self._sockets.pop(life, None)
            if socket is None:
                return
            self._past.add(life.counters, life.outgoing.dropped_count)
            self._past.add_duration(life.counters.duration)
        assert life.close_cause is not None
        code = life.close_cause.code
        self.closed_total[code] = self.closed_total.get(code, 0) + 1
        if self._closed.observed:
            self._closed.emit(socket)

    def _follow_work(self, life: Lifecycle) -> None:
        """Remember a socket that has closed until its work is done: that of its handler, then that of operators."""
        if (work := life.work) is not None and not work.done:
            self._working.add(life)
            work.when_done(lambda: self._follow_work(life))
        elif life.in_hand:
            self._working.add(life)
            life.when_idle(lambda: self._follow_work(life))
        else:
            self._working.discard(life)

    async def shut_down(self) -> None:
        """Refuse new sockets, close the open ones, and wait for their ends and for the work of their handlers.

        After `shutdown_timeout` seconds the remaining work is cut off; handlers then have the same time again to clean
        up.
        """
        self._shutting_down = True
        self._opened.end()
        ends: dict[asyncio.Future[None], Lifecycle] = {}

        def close(life: Lifecycle) -> None:
            life.close(self._shutdown_close)
            ends[asyncio.ensure_future(_end_of(life))] = life

        await _turn_by_turn(close, {*self._sockets, *self._working})
        if ends:
            _, late = await asyncio.wait(ends, timeout=self._shutdown_timeout)
            if late:
                await _turn_by_turn(_cut, [ends[end] for end in late])
                _, late = await asyncio.wait(late, timeout=self._shutdown_timeout)
            for end in late:
                end.cancel()
        self._closed.end()


def _slowness(socket: WebSocket[Any, Any]) -> tuple[int, float, float]:
    stats = socket.stats
    return stats.buffered_bytes, stats.age or 0.0, stats.rtt or 0.0


async def _turn_by_turn(act: Callable[[Lifecycle], object], lives: Iterable[Lifecycle]) -> None:
    """Do something to all of them, and let the event loop go on between."""
    for number, life in enumerate(lives, 1):
        act(life)
        if number % CLOSINGS_A_TURN == 0:
            await asyncio.sleep(0)


def _cut(life: Lifecycle) -> None:
    life.abort()
    if life.in_hand:
        life.reports.log.cut("%d items in hand", life.in_hand)


async def _end_of(life: Lifecycle) -> None:
    await life.closed
    await life.worked()


def _blame(stream: str, error: Exception) -> None:
    message = "a subscriber of hub.%s raised %s"
    log_line(SERVER, logging.ERROR, message, stream, described(error), error=error, event="error")
