"""The sockets of one application: how many there may be, and their common end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

from reactivex import Observable

from rxws.broadcast import Hot
from rxws.closing import Close
from rxws.lifecycle import Lifecycle
from rxws.socket import WebSocket

logger = logging.getLogger("rxws")


class Hub:
    """What `rxws.setup` returns: the open sockets, counters, and the graceful shutdown.

    `len(hub)` and iteration give the open sockets.
    """

    def __init__(self, max_connections: int | None, shutdown_code: int, shutdown_timeout: float) -> None:
        self.max_connections = max_connections
        """The sockets that may be open at once; `None` for no limit."""
        self.opened_total = 0
        """Sockets opened so far."""
        self.closed_total: dict[int, int] = {}
        """Sockets closed so far, by close code."""
        self.refused_total = 0
        """Requests refused with 503 so far."""
        self._shutdown_close = Close(shutdown_code)
        self._shutdown_timeout = shutdown_timeout
        self._sockets: dict[WebSocket[Any, Any], Lifecycle] = {}
        self._taken = 0
        self._shutting_down = False
        self._opened = Hot[WebSocket[Any, Any]](
            lambda error: logger.error("a subscriber of hub.opened raised %r", error, exc_info=error)
        )

    @property
    def opened(self) -> Observable[WebSocket[Any, Any]]:
        """Emits every socket when it is open; hot, completes when the application shuts down."""
        return self._opened

    def __len__(self) -> int:
        return len(self._sockets)

    def __iter__(self) -> Iterator[WebSocket[Any, Any]]:
        """Iterate over the sockets that are open now."""
        return iter(tuple(self._sockets))

    def admit(self, life: Lifecycle) -> bool:
        """Take a place for a socket that is about to open, or refuse it; the place is free again at its end."""
        if self._shutting_down or (self.max_connections is not None and self._taken >= self.max_connections):
            self.refused_total += 1
            return False
        self._taken += 1
        life.at_end(self._free)
        return True

    def add(self, socket: WebSocket[Any, Any], life: Lifecycle) -> None:
        """Count a socket as open, until it ends."""
        self._sockets[socket] = life
        self.opened_total += 1
        life.closed.subscribe(lambda close: self._remove(socket, close))
        if self._shutting_down:
            self._shut(life)
        self._opened.emit(socket)

    async def shut_down(self) -> None:
        """Refuse new sockets, close the open ones, and wait for their ends; `shutdown_timeout` bounds them all."""
        self._shutting_down = True
        self._opened.end()
        lives = list(self._sockets.values())
        for life in lives:
            self._shut(life)
        await asyncio.gather(*(_ended(life) for life in lives))

    def _shut(self, life: Lifecycle) -> None:
        life.close(self._shutdown_close)
        life.at_end(life.thread.loop.call_later(self._shutdown_timeout, life.give_up).cancel)

    def _free(self) -> None:
        self._taken -= 1

    def _remove(self, socket: WebSocket[Any, Any], close: Close) -> None:
        del self._sockets[socket]
        self.closed_total[close.code] = self.closed_total.get(close.code, 0) + 1


async def _ended(life: Lifecycle) -> None:
    await life.closed
