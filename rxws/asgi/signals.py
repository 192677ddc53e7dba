"""Signals that end a process: the sockets are closed before the server hears of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Container
from typing import Any, Final

from rxws.processes.stops import Stops

ENDS: Final = (signal.SIGTERM, signal.SIGINT)
"""What tells a process to end."""

NOBODY_S: Final = (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler, None)
"""Handlers that no server has set."""


class Signals:
    """Stands before the server's handlers of `ENDS`: `shut_down`, then the server goes on.

    A second signal, half a second later or more, waits for nothing. Where nobody handles a signal, and in threads but
    the main one, nothing is changed.
    """

    def __init__(self, shut_down: Callable[[], Awaitable[None]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._shut_down = shut_down
        self._task: asyncio.Task[None] | None = None
        self._stops = Stops()
        self._before: dict[int, Any] = {}
        self._relay: SignalRelay | None = None
        if threading.current_thread() is threading.main_thread():
            for number in ENDS:
                before = signal.getsignal(number)
                if before not in NOBODY_S:
                    self._before[number] = before
                    signal.signal(number, self._handle)

    def stand_before_loop(self) -> None:
        """Keep the signals from the loop's own handlers, too; once the loop runs as it does while the server serves.

        uvloop's forgets the relay when it stops, and granian runs the start of the application by itself.
        """
        if self._before and self._relay is None and sys.platform != "win32":  # where loops have no such handlers
            self._relay = SignalRelay.between(self._loop, self._before)

    def restore(self) -> None:
        """Put the handlers back, unless others have come since."""
        for number, before in self._before.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, before)
        if self._relay is not None:
            self._relay.close()
            self._relay = None

    def _handle(self, number: int, frame: Any) -> None:
        if self._loop.is_closed() or (self._task is not None and self._task.done()):
            self._pass_on(number, frame)
        elif self._stops.told():
            if self._stops.number > 1:
                self._pass_on(number, frame)
            else:
                self._loop.call_soon_threadsafe(self._begin, number)

    def _begin(self, number: int) -> None:
        self._task = self._loop.create_task(self._end(number))

    async def _end(self, number: int) -> None:
        try:
            await self._shut_down()
        finally:
            self._pass_on(number, None)

    def _pass_on(self, number: int, frame: Any) -> None:
        self._before[number](number, frame)
        if self._relay is not None:
            self._relay.tell_loop(bytes((number,)))


class SignalRelay:
    """Stands between the process and its event loop, for servers whose handlers are the loop's, as granian's are.

    Such a loop is told of signals by a file descriptor, where Python writes their numbers (`signal.set_wakeup_fd`). So
    it would call the server's handler at once, whatever stands before. The relay keeps `those` signals until
    `tell_loop` is called, and hands on all others.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, those: Container[int]) -> None:
        self._loop = loop
        self._those = those
        self._mine, self._pythons = socket.socketpair()
        for one in (self._mine, self._pythons):
            one.setblocking(False)
        loop.add_reader(self._mine, self._read)
        self._loops = signal.set_wakeup_fd(self._pythons.fileno())

    @classmethod
    def between(cls, loop: asyncio.AbstractEventLoop, those: Container[int]) -> SignalRelay | None:
        """Begin; `None` if the loop is not told of signals."""
        relay = cls(loop, those)
        if relay._loops != -1:
            return relay
        relay.close()
        return None

    def tell_loop(self, numbers: bytes) -> None:
        """Have the loop call its handlers of signals."""
        with contextlib.suppress(OSError):  # it has closed
            os.write(self._loops, numbers)

    def close(self) -> None:
        """Have the loop told by Python again, unless another file descriptor has come since."""
        ours = self._pythons.fileno()
        try:
            now = signal.set_wakeup_fd(self._loops)
        except (ValueError, OSError):  # it has closed
            now = signal.set_wakeup_fd(-1)
        if now != ours:
            signal.set_wakeup_fd(now)
        self._loop.remove_reader(self._mine)
        with contextlib.suppress(BlockingIOError):
            self._read()
        self._mine.close()
        self._pythons.close()

    def _read(self) -> None:
        numbers = bytes(number for number in self._mine.recv(4096) if number not in self._those)
        if numbers:
            self.tell_loop(numbers)
