"""Signals that end a process: the sockets are closed before the server hears of them."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final

ENDS: Final = (signal.SIGTERM, signal.SIGINT)
"""What tells a process to end."""

NOBODY_S: Final = (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler, None)
"""Handlers that no server has set."""


class Signals:
    """Stands before the server's handlers of `ENDS`: `shut_down`, then the server goes on.

    A server that has its handler in the event loop hears of the signal at the same time. A second signal waits for
    nothing. Where nobody handles a signal, and in threads but the main one, nothing is changed.
    """

    def __init__(self, shut_down: Callable[[], Awaitable[None]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._shut_down = shut_down
        self._task: asyncio.Task[None] | None = None
        self._told = False
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in ENDS:
                before = signal.getsignal(number)
                if before not in NOBODY_S:
                    self._before[number] = before
                    signal.signal(number, self._handle)

    def restore(self) -> None:
        """Put the handlers back, unless others have come since."""
        for number, before in self._before.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, before)

    def _handle(self, number: int, frame: Any) -> None:
        if self._told or self._loop.is_closed():
            self._before[number](number, frame)
            return
        self._told = True
        self._loop.call_soon_threadsafe(self._begin, number)

    def _begin(self, number: int) -> None:
        self._task = self._loop.create_task(self._end(number))

    async def _end(self, number: int) -> None:
        try:
            await self._shut_down()
        finally:
            self._before[number](number, None)
