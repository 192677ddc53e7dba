"""The work of a handler that is a coroutine: it outlives its socket, within limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from rxws.core.log import SocketLog


class Work:
    """The task of a handler. When the socket has ended it goes on until it is done, or is cut at a deadline.

    One that does not `read` cannot have anything of the peer's in hand: it is cancelled when the socket ends.
    """

    def __init__(self, task: asyncio.Task[None], log: SocketLog, *, reads: bool) -> None:
        self._task = task
        self._log = log
        self._reads = reads
        self._cut = False

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self._task.done()

    def socket_closed(self, due: float) -> None:
        """Give it until `due`, in the event loop's time, to finish."""
        loop = self._task.get_loop()
        if self._task.done():
            return
        if not self._reads or due <= loop.time():
            self.cut()
            return
        self.when_done(loop.call_at(due, self.cut).cancel)

    def when_done(self, action: Callable[[], object]) -> None:
        """Act when it is over."""
        self._task.add_done_callback(lambda _: action())

    def cut(self) -> None:
        """Cancel what still runs, and say so."""
        if not self._task.done() and not self._cut:
            self._cut = True
            if self._reads:
                self._log.cut("%s", self._task.get_name())
            self._task.cancel()

    async def over(self, until: float) -> None:
        """Wait until it is over, not longer than `until`; say so if it ignores its cancellation."""
        _, pending = await asyncio.wait({self._task}, timeout=max(0.0, until - self._task.get_loop().time()))
        if pending:
            self._log.write(
                logging.ERROR, "stuck", "%s ignores its cancellation: its socket is closed", self._task.get_name()
            )
