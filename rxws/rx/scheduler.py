"""The scheduler that a returned Observable runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeVar

from reactivex import abc, typing
from reactivex.disposable import Disposable, SingleAssignmentDisposable
from reactivex.scheduler import CurrentThreadScheduler
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rxws.rx.loop_thread import LoopThread

T = TypeVar("T")

MAX_AT_ONCE: Final = 1000
"""Actions that run at once within one turn of the event loop; a source that never ends must not stop the loop."""


def loop_scheduler() -> LoopScheduler | None:
    """Make a scheduler of the event loop that runs here, if one does."""
    try:
        return LoopScheduler(LoopThread(asyncio.get_running_loop()))
    except RuntimeError:
        return None


class LoopScheduler(AsyncIOScheduler):
    """Timed work on the event loop; immediate work at once, as RxPY does by default.

    On a plain `AsyncIOScheduler`, `start_with`, `concat` and their like subscribe to their sources some turns of the
    event loop later, and a message that comes in between is lost to them. Here a subscription is whole when
    `subscribe` returns.

    Operators behind a source that runs on a thread schedule from there: timed work goes to the event loop from any
    thread, immediate work stays in its own.
    """

    def __init__(self, thread: LoopThread) -> None:
        super().__init__(thread.loop)
        self._thread = thread
        self._at_once = 0
        self._virtual_now: Callable[[], datetime] | None = getattr(thread.loop, "now", None)

    @property
    def now(self) -> datetime:
        """The wall clock's time, or the loop's own where that is virtual: such a loop has a `now`."""
        return super().now if self._virtual_now is None else self._virtual_now()

    def schedule(self, action: typing.ScheduledAction[T], state: T | None = None) -> abc.DisposableBase:
        """Run an action at once, after those that run already; or soon, if it is one too many."""
        if self._thread.here():
            if self._at_once >= MAX_AT_ONCE:
                return super().schedule(action, state)
            if not self._at_once:
                self._loop.call_soon(self._next_turn)
            self._at_once += 1
        return CurrentThreadScheduler.singleton().schedule(action, state)

    def schedule_relative(
        self, duetime: typing.RelativeTime, action: typing.ScheduledAction[T], state: T | None = None
    ) -> abc.DisposableBase:
        """Run an action in `duetime`, never at once."""
        timed = SingleAssignmentDisposable()

        def start() -> None:
            if self.to_seconds(duetime) > 0:
                timed.disposable = AsyncIOScheduler.schedule_relative(self, duetime, action, state)
            else:
                timed.disposable = AsyncIOScheduler.schedule(self, action, state)

        self._thread.run(start)
        return Disposable(lambda: self._thread.run(timed.dispose))

    def _next_turn(self) -> None:
        self._at_once = 0
