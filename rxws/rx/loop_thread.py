"""Calls from any thread, made in the event loop in which everything in a socket happens."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from math import inf
from typing import Any, Final, TypeVar

MAX_HANDED_OVER: Final = 16_384
"""Calls from other threads that may wait for an event loop."""

MAX_HANDED_OVER_BYTES: Final = 4 * 2**20
"""Bytes that the messages among these calls may weigh, if no option allows more."""

RAN_AHEAD: Final = (
    f"{MAX_HANDED_OVER:,} calls from other threads wait for the event loop already, or their messages weigh"
    f" {MAX_HANDED_OVER_BYTES // 2**20} MiB or more"
)
"""Why a call from another thread is refused."""

running_loop: Final = asyncio._get_running_loop
"""Return the event loop that runs in this thread, or `None`."""

here: Final[Callable[[], object]] = running_loop if sys.version_info >= (3, 12) else threading.get_ident
"""Return something that is equal whenever code runs in the same place: the running loop, or the number of the thread.

Before Python 3.12 it is the thread: there each look at the running loop asks the kernel for the process's number.
"""

T = TypeVar("T")
_lock = threading.Lock()


class Call:
    """A call that waits for the event loop. It is made once, in its caller's context (`ContextVar`s)."""

    __slots__ = ("_args", "_context", "_function", "weight")

    def __init__(self, function: Callable[..., object], args: tuple[Any, ...], context: Context, weight: int) -> None:
        self.weight = weight
        """The weight of the message that it sends; 0 if it sends none."""
        self._function: Callable[..., object] | None = function
        self._args = args
        self._context = context

    def make(self) -> None:
        """Make the call, unless it was made before."""
        function, args, self._function, self._args = self._function, self._args, None, ()
        if function is not None:
            self._context.run(function, *args)


class LoopThread:
    """Makes calls in an event loop. Calls from one thread keep their order.

    A loop may run in one thread, and later in another. While it does not run, the thread that ran it counts as another
    thread, too. Each call is made in its caller's context (`ContextVar`s): if a thread calls while it works on an item,
    the call has the item's source.

    Memory: `hand_over` keeps `max_calls` calls, whose messages weigh `max_bytes` bytes or are one message. Reports of
    refusals may take as much again. `run` has no limit: it is for calls that each owner makes once.
    """

    __slots__ = ("_calls", "_max_bytes", "_max_calls", "_once", "ending", "loop", "messages", "weight")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        max_calls: int = MAX_HANDED_OVER,
        max_bytes: int = MAX_HANDED_OVER_BYTES,
    ) -> None:
        self.loop = loop
        self.messages = self.weight = 0
        """The messages from other threads that wait, and their weight in bytes."""
        self.ending = False
        """Whether the socket ends, or another thread has asked for it. Then messages from other threads are refused."""
        self._max_calls = max_calls
        self._max_bytes = max_bytes
        self._calls: deque[Call] | None = None
        self._once: tuple[Callable[[], object], ...] = ()

    def here(self) -> bool:
        """Tell whether the event loop runs, and the caller is in it."""
        return running_loop() is self.loop

    def run(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function: now if the caller is in the loop, else soon. If the loop is closed, do nothing."""
        if self.here():
            function(*args)
        else:
            self._put(function, args)

    def run_once(self, function: Callable[[], object]) -> None:
        """Like `run`, but do nothing while a call of the same function waits."""
        if self.here():
            function()
            return
        with _lock:
            if function in self._once:
                return
            self._once += (function,)
        self._put(self._make_once, (function,))

    def run_last(self, function: Callable[..., object], *args: Any) -> None:
        """Like `run`, for a call that ends everything: of all such calls from other threads, only the first is made."""
        if self.here():
            function(*args)
            return
        with _lock:
            if self.ending:
                return
            self.ending = True
        self._put(function, args)

    def hand_over(self, function: Callable[..., object], *args: Any, weight: int = 0, refusal: bool = False) -> bool:
        """Call `function` in the loop soon; return `False` if the call is refused.

        It is refused if too much waits, or if it has a message and the socket ends. `weight` is the message's weight in
        bytes, 0 for none. A `refusal`, which reports such a message, has twice the room.
        """
        return self._put(function, args, weight, 2 if refusal else 1)

    def end(self) -> list[Callable[[], object]]:
        """Refuse messages from now on; return the calls whose messages wait, to be made now, in this order."""
        with _lock:
            self.ending = True
            calls = self._calls
            return [partial(self._make, call) for call in calls if call.weight] if calls else []

    def run_waiting(self) -> None:
        """Make the calls that still wait when the loop is closed; log what they raise.

        Meanwhile the loop counts as the running one, so that the calls do not wait for it again.
        """
        calls, running = self._calls, running_loop()
        asyncio._set_running_loop(self.loop)
        try:
            while calls:
                try:
                    self._make_first(calls)
                except Exception as error:
                    self.loop.call_exception_handler(
                        {"message": "a call from another thread failed", "exception": error}
                    )
        finally:
            asyncio._set_running_loop(running)

    def _put(self, function: Callable[..., object], args: tuple[Any, ...], weight: int = 0, room: float = inf) -> bool:
        """Add a call, if there is room; return whether there was. `room` multiplies the limits."""
        context = copy_context()
        with _lock:
            calls = self._calls = deque[Call]() if self._calls is None else self._calls
            if len(calls) >= self._max_calls * room:
                return False
            if weight:
                if self.ending or (self.messages and self.weight + weight > self._max_bytes * room):
                    return False
                self.messages += 1
                self.weight += weight
            calls.append(Call(function, args, context, weight))
            is_scheduled = len(calls) > 1
        if not is_scheduled:
            self._schedule()
        return True

    def _schedule(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self._drain)
        except RuntimeError:  # the loop is closed, and with it the socket
            with _lock:
                self._calls, self._once = None, ()
                self.messages = self.weight = 0

    def _drain(self) -> None:
        calls = self._calls
        assert calls is not None
        try:
            for _ in range(len(calls)):
                self._make_first(calls)
        finally:
            if calls:
                self._schedule()

    def _make_first(self, calls: deque[Call]) -> None:
        """Make the first call, and only then remove it: while any call is there, `_put` need not schedule `_drain`."""
        try:
            self._make(calls[0])
        finally:
            with _lock:
                calls.popleft()

    def _make(self, call: Call) -> None:
        with _lock:
            self.messages -= call.weight > 0
            self.weight -= call.weight
            call.weight = 0
        call.make()

    def _make_once(self, function: Callable[[], object]) -> None:
        with _lock:
            self._once = tuple(other for other in self._once if other != function)
        function()


def set_result(future: asyncio.Future[T], result: T) -> None:
    """Set a future's result, unless it is done; from any thread. Do nothing if its loop is closed."""
    loop = future.get_loop()
    if running_loop() is not loop:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(set_result, future, result)
    elif not future.done():
        future.set_result(result)


def tell_loop(loop: asyncio.AbstractEventLoop, who: str, error: BaseException) -> None:
    """Report an error of a subscriber of `who` to a loop's exception handler, since no one else takes it."""
    loop.call_exception_handler({"message": f"a subscriber of {who} raised", "exception": error})
