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

END_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
"""Signals that tell a process to end."""

NOT_SERVERS: Final = (signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler, None)
"""Handlers that no server has set."""


class Signals:
    """Stands before the server's handlers of `END_SIGNALS`: first it calls `shut_down`, then the server's handler.

    A second signal, half a second later or more, goes to the server at once. Nothing changes where no server handles a
    signal, nor outside the main thread.
    """

    def __init__(self, shut_down: Callable[[], Awaitable[None]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._shut_down = shut_down
        self._task: asyncio.Task[None] | None = None
        self._stops = Stops()
        self._before: dict[int, Any] = {}
        self._relay: SignalRelay | None = None
        if threading.current_thread() is threading.main_thread():
            for number in END_SIGNALS:
                before = signal.getsignal(number)
                if before not in NOT_SERVERS:
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
    it would call the server's handler at once, whatever stands before. The relay keeps the `kept` signals until
    `tell_loop` is called, and passes all others on.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, kept: Container[int]) -> None:
        self._loop = loop
        self._kept = kept
        self._read_end, self._write_end = socket.socketpair()
        for one in (self._read_end, self._write_end):
            one.setblocking(False)
        loop.add_reader(self._read_end, self._read)
        self._loop_fd = signal.set_wakeup_fd(self._write_end.fileno())

    @classmethod
    def between(cls, loop: asyncio.AbstractEventLoop, kept: Container[int]) -> SignalRelay | None:
        """Begin; `None` if the loop is not told of signals."""
        relay = cls(loop, kept)
        if relay._loop_fd != -1:
            return relay
        relay.close()
        return None

    def tell_loop(self, numbers: bytes) -> None:
        """Have the loop call its handlers of signals."""
        with contextlib.suppress(OSError):  # it has closed
            os.write(self._loop_fd, numbers)

    def close(self) -> None:
        """Have the loop told by Python again, unless another file descriptor has come since."""
        ours = self._write_end.fileno()
        try:
            now = signal.set_wakeup_fd(self._loop_fd)
        except (ValueError, OSError):  # it has closed
            now = signal.set_wakeup_fd(-1)
        if now != ours:
            signal.set_wakeup_fd(now)
        self._loop.remove_reader(self._read_end)
        with contextlib.suppress(BlockingIOError):
            self._read()
        self._read_end.close()
        self._write_end.close()

    def _read(self) -> None:
        numbers = bytes(number for number in self._read_end.recv(4096) if number not in self._kept)
        if numbers:
            self.tell_loop(numbers)
