"""The running event loop: where everything in a socket happens, whichever thread calls."""

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
"""Bytes that the messages among them may weigh, where no option says that more may."""

RAN_AHEAD: Final = (
    f"{MAX_HANDED_OVER:,} calls of other threads wait for the event loop already, or their messages weigh"
    f" {MAX_HANDED_OVER_BYTES // 2**20} MiB or more"
)
"""Why something of another thread is refused."""

running_loop: Final = asyncio._get_running_loop
"""Return the event loop that runs in this thread, or `None`."""

here: Final[Callable[[], object]] = running_loop if sys.version_info >= (3, 12) else threading.get_ident
"""Tell where code runs, to be compared with `==`: by the running loop; before Python 3.12 by the thread.

There, to look up the loop asks the kernel for the process, since that may have forked.
"""

T = TypeVar("T")
_lock = threading.Lock()


class Call:
    """A call that waits for the event loop; it is made once, in the context (`ContextVar`s) of its caller."""

    __slots__ = ("_args", "_context", "_function", "weight")

    def __init__(self, function: Callable[..., object], args: tuple[Any, ...], context: Context, weight: int) -> None:
        self.weight = weight
        """Of the message that it is for, if there is one."""
        self._function: Callable[..., object] | None = function
        self._args = args
        self._context = context

    def make(self) -> None:
        """Make it, unless it was made before."""
        function, args, self._function, self._args = self._function, self._args, None, ()
        if function is not None:
            self._context.run(function, *args)


class LoopThread:
    """Runs calls in the running event loop, in the order in which each other thread made them.

    A loop may run in one thread and then in another. Between two runs its own thread is as any other. Each call is made
    in the context (`ContextVar`s) of its caller. So one that is made while a thread works on the item of a socket stays
    in that socket's name.

    Memory: of what is handed over `max_calls` wait, with messages that weigh `max_bytes`, or one that is heavier alone;
    and as much again of what reports those that were refused. `run` is for what each owner calls once.
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
        """The messages of other threads that wait, and what they weigh."""
        self.ending = False
        """Whether the end has come, or another thread has asked for it: messages of other threads are refused."""
        self._max_calls = max_calls
        self._max_bytes = max_bytes
        self._calls: deque[Call] | None = None
        self._once: tuple[Callable[[], object], ...] = ()

    def here(self) -> bool:
        """Tell whether the event loop runs, and the caller is in it."""
        return running_loop() is self.loop

    def run(self, function: Callable[..., object], *args: Any) -> None:
        """Call at once in the running loop, or soon from elsewhere; a closed loop ignores it."""
        if self.here():
            function(*args)
        else:
            self._put(function, args)

    def run_once(self, function: Callable[[], object]) -> None:
        """As `run`, of a call that is not repeated while it waits."""
        if self.here():
            function()
            return
        with _lock:
            if function in self._once:
                return
            self._once += (function,)
        self._put(self._make_once, (function,))

    def run_last(self, function: Callable[..., object], *args: Any) -> None:
        """As `run`, of a call that ends all: of those from elsewhere the first one counts, and one waits."""
        if self.here():
            function(*args)
            return
        with _lock:
            if self.ending:
                return
            self.ending = True
        self._put(function, args)

    def hand_over(self, function: Callable[..., object], *args: Any, weight: int = 0, refusal: bool = False) -> bool:
        """Call `function` in the loop soon; `False` and no call if too much waits, or if a message comes after the end.

        A message has a `weight`. There is as much room again for what reports a `refusal`.
        """
        return self._put(function, args, weight, 2 if refusal else 1)

    def end(self) -> list[Callable[[], object]]:
        """Stop taking messages, and give the calls with those that wait: they are to be made now, in this order."""
        with _lock:
            self.ending = True
            calls = self._calls
            return [partial(self._make, call) for call in calls if call.weight] if calls else []

    def settle(self) -> None:
        """Make the calls that the loop, which is closed by now, did not come to; what they raise is logged.

        To them it is as if the loop ran.
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
        """Let a call wait, if there is room; `room` multiplies the limits."""
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
            on_its_way = len(calls) > 1
        if not on_its_way:
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
        """Make the first call, whose place is taken until it has been made: meanwhile the loop need not be called."""
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
    """Give a future its result, unless it is done; from any thread. A closed loop ignores it."""
    loop = future.get_loop()
    if running_loop() is not loop:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(set_result, future, result)
    elif not future.done():
        future.set_result(result)


def tell_loop(loop: asyncio.AbstractEventLoop, who: str, error: BaseException) -> None:
    """Tell a loop's exception handler what a subscriber of `who` raised, which nobody else can be told."""
    loop.call_exception_handler({"message": f"a subscriber of {who} raised", "exception": error})
