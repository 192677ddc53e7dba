"""When sockets open: at once, or several together if many clients come."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final
from weakref import WeakKeyDictionary

from rxws.server.collector import collector

OPENINGS_A_TURN: Final = 16
"""Handshakes that are answered together, before the sockets that are open have their turn: some 4 ms of work."""

COUNTED_OVER: Final = 0.05
"""Seconds in which handshakes are counted."""

MANY_COME: Final = 20
"""Handshakes in a window from which on they wait for each other."""

CROWD: Final = 80
"""Handshakes in a window that cannot all come from one client."""

GATHERING: Final = 0.005
"""Seconds that they wait at most."""

SERVED: Final = 3.0
"""Seconds in which those that came in such a window are served, and for which Python's collector runs less often."""

APART: Final = 1.0
"""Seconds without waiting, but for a crowd, after it has brought hardly two together."""


class Openings:
    """Gives each handshake its place: at once, or with others while more than 400 a second come.

    A socket that opens runs much code, once. After a sleep or other work, the processor has to fetch it from memory
    again, and the socket costs half as much again or more. The next one that opens at once finds it in the caches. So
    handshakes wait up to `GATHERING` for each other. A client that comes again and again by itself would only be
    slower: where hardly two come together, nobody waits.

    Memory: a future for each request that waits. The server has read those already.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._handle: asyncio.Handle | None = None  # opens them
        self._gathers = False
        self._alone_until = 0.0
        self._window_ends = 0.0
        self._came = 0  # in this window
        self._batches = 0  # that have opened in it
        self._enough = OPENINGS_A_TURN  # as many as its first batch, which has waited longest
        self._patience: asyncio.TimerHandle | None = None  # of the collector, until then

    def take(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None] | None:
        """Take a place at once, or give what to wait for."""
        now, waiting = loop.time(), self._waiting
        if now >= self._window_ends:
            self._begin_window(now)
        self._came += 1
        if self._came == MANY_COME:
            self._have_patience(loop)
        if self._came == (MANY_COME if now >= self._alone_until else CROWD):
            self._gathers, self._alone_until = True, 0.0
        if not self._gathers and not waiting:
            return None
        place = loop.create_future()
        waiting.append(place)
        if len(waiting) == 1:
            self._handle = loop.call_later(GATHERING, self._open, loop)
        elif len(waiting) == self._enough and self._handle is not None:
            self._handle.cancel()
            self._handle = loop.call_soon(self._open, loop)
        return place

    def _have_patience(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have Python's collector run less often for a while."""
        if self._patience is not None:
            self._patience.cancel()
        collector.be_patient(self)
        self._patience = loop.call_later(SERVED, collector.go_on, self)

    def _begin_window(self, now: float) -> None:
        """Decide by the last one whether handshakes wait in this one."""
        if self._gathers and self._came < 2 * self._batches:
            self._alone_until = now + APART
        self._gathers = self._came >= MANY_COME and self._alone_until <= now < self._window_ends + COUNTED_OVER
        self._window_ends = now + COUNTED_OVER
        self._came = self._batches = 0
        self._enough = OPENINGS_A_TURN

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open those that wait, as many as a turn may have; the others follow."""
        waiting, left = self._waiting, OPENINGS_A_TURN
        if not self._batches:
            self._enough = max(2, min(len(waiting), OPENINGS_A_TURN))
        self._batches += 1
        while left and waiting:
            place = waiting.popleft()
            if not place.done():  # or its request was cancelled
                place.set_result(None)
                left -= 1
        if len(waiting) >= self._enough:
            self._handle = loop.call_soon(self._open, loop)
        elif waiting:
            self._handle = loop.call_later(GATHERING, self._open, loop)
        else:
            self._handle = None


_openings: WeakKeyDictionary[asyncio.AbstractEventLoop, Openings] = WeakKeyDictionary()


async def wait_to_open() -> None:
    """Wait for a place to open a socket: now, with others that come soon, or in a later turn of the event loop."""
    loop = asyncio.get_running_loop()
    try:
        openings = _openings[loop]
    except KeyError:
        openings = _openings[loop] = Openings()
    place = openings.take(loop)
    if place is not None:
        await place
