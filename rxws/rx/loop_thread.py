"""The running event loop: where everything of a socket happens, whoever calls."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any, Final, TypeVar

from rxws.rx.holds import current_source, socket_of

MAX_HANDED_OVER: Final = 16_384
"""Calls from other threads that may wait for the event loop of a socket."""

running_loop: Final = asyncio._get_running_loop
"""Return the event loop that runs in this thread, or `None`."""

T = TypeVar("T")
_lock = threading.Lock()

Calls = deque[tuple[Callable[..., object], tuple[Any, ...], Context]]


class LoopThread:
    """Runs calls in the running event loop, in the order in which each other thread made them.

    A loop may run in one thread and then in another. Between two runs its own thread is as any other. Each call is made
    in the context (`ContextVar`s) of its caller. So one that is made while a thread works on the item of a socket of
    this event loop stays in that socket's name.
    """

    __slots__ = ("_calls", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._calls: Calls | None = None

    def here(self) -> bool:
        """Tell whether the event loop runs, and the caller is in it."""
        return running_loop() is self.loop

    def run(self, function: Callable[..., object], *args: Any) -> None:
        """Call at once in the running loop, or soon from elsewhere; a closed loop ignores it."""
        if self.here():
            function(*args)
        else:
            self.hand_over(function, *args)

    def hand_over(self, function: Callable[..., object], *args: Any, limit: int | None = None) -> bool:
        """Call `function` in the loop soon; `False` and no call if more than `limit` wait already."""
        context, source = copy_context(), current_source.get()
        if source is not None and getattr(socket_of(source), "thread", self).loop is not self.loop:
            context.run(current_source.set, None)  # it can neither be held nor told from here
        with _lock:
            if self._calls is None:
                self._calls = deque()
            calls = self._calls
            if limit is not None and len(calls) >= limit:
                return False
            calls.append((function, args, context))
            on_its_way = len(calls) > 1
        if not on_its_way:
            self._schedule()
        return True

    def settle(self) -> None:
        """Make the calls that the loop, which is closed by now, did not come to; what they raise is logged.

        To them it is as if the loop ran.
        """
        calls, running = self._calls, running_loop()
        asyncio._set_running_loop(self.loop)
        try:
            while calls:
                try:
                    _make_first(calls)
                except Exception as error:
                    self.loop.call_exception_handler(
                        {"message": "a call from another thread failed", "exception": error}
                    )
        finally:
            asyncio._set_running_loop(running)

    def _schedule(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self._drain)
        except RuntimeError:  # the loop is closed, and with it the socket
            self._calls = None

    def _drain(self) -> None:
        calls = self._calls
        assert calls is not None
        try:
            for _ in range(len(calls)):
                _make_first(calls)
        finally:
            if calls:
                self._schedule()


def _make_first(calls: Calls) -> None:
    """Make the first call, which is among those that wait until it has been made."""
    function, args, context = calls[0]
    try:
        context.run(function, *args)
    finally:
        with _lock:
            calls.popleft()


def set_result(future: asyncio.Future[T], result: T) -> None:
    """Give a future its result, unless it is done; from any thread. A closed loop ignores it."""

    def give() -> None:
        if not future.done():
            future.set_result(result)

    loop = future.get_loop()
    if running_loop() is loop:
        give()
    else:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(give)
