"""Virtual time: an event loop whose clock jumps to the next timer when nothing else is left to do."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import selectors
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MAX_THREAD_SECONDS: Final = 5.0
"""Seconds of real time that a call in a thread may take; virtual time stands still for it."""

MAX_STILL_TURNS: Final = 100_000
"""Turns of the loop within one moment of virtual time, after which it is taken to stand still forever."""


class _Due(float):
    """When a timer is due. Of two timers of the same time, the one that was set first is earlier."""

    number = 0

    def __lt__(self, other: float, /) -> bool:
        if isinstance(other, _Due) and self == other:
            return self.number < other.number
        return super().__lt__(other)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on which waiting takes no time.

    `asyncio.sleep`, timeouts, RxPY's operators on the loop's scheduler, heartbeats and deadlines all use the loop's
    clock. It starts at 0. It stands still while there is work to do, and while calls of `to_thread` and
    `run_in_executor` run; then it jumps to the next timer. Use it with in-memory wires only: a peer on a real
    connection would always answer too late.

    Raises `RuntimeError` instead of waiting forever when nothing can happen anymore.

    >>> with asyncio.Runner(loop_factory=VirtualLoop) as runner:
    ...     runner.run(asyncio.sleep(3600))
    ...     runner.get_loop().time()
    3600.0
    """

    def __init__(self) -> None:
        self._jumps = _Jumps()
        self._timers = 0
        super().__init__(self._jumps)

    def time(self) -> float:
        """Give the virtual time, in seconds."""
        return round(self._jumps.now, 9)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Call back at a time; those of the same time in the order in which they were asked for."""
        due = _Due(round(when, 9))
        due.number = self._timers = self._timers + 1
        return super().call_at(due, callback, *args, context=context)

    def now(self) -> datetime:
        """Give the virtual time as the schedulers have it, in 1970."""
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=self._jumps.now)

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Run a call in a thread, while time stands still."""
        future = super().run_in_executor(executor, func, *args)
        self._jumps.working += 1
        future.add_done_callback(self._worked)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """Wait for the threads, while time stands still."""
        self._jumps.working += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._jumps.working -= 1

    def _worked(self, future: asyncio.Future[Any]) -> None:
        self._jumps.working -= 1


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time, in a separate thread if an event loop runs in this one.

    Args:
        main: The coroutine.

    >>> async def wait():
    ...     await asyncio.sleep(60)
    ...     return asyncio.get_running_loop().time()
    >>> run_virtually(wait())
    60.0
    """

    def run() -> T:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(main)

    if asyncio._get_running_loop() is None:
        return run()
    outcome: list[T | BaseException] = []

    def work() -> None:
        try:
            outcome.append(run())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), name="rxws virtual time")
    thread.start()
    thread.join()
    (result,) = outcome
    if isinstance(result, BaseException):
        raise result
    return result


def virtual_time(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Turn an `async def` test into a plain function that runs it in virtual time.

    Args:
        test: The test, a coroutine function.

    >>> @virtual_time
    ... async def test_patience():
    ...     async with asyncio.timeout(3600):
    ...         await asyncio.sleep(3599)
    >>> test_patience()
    """

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_virtually(test(*args, **kwargs))

    return run


class _Jumps(selectors.DefaultSelector):
    """A selector that does not wait: it moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.working = 0
        """Calls in threads, which take real time."""
        self._still = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(MAX_THREAD_SECONDS if self.working and timeout != 0 else 0)
        if ready or timeout == 0:
            self._still += 1
            if self._still > MAX_STILL_TURNS:
                raise RuntimeError(f"time stands still: none of {MAX_STILL_TURNS} turns of the event loop waits")
            return ready
        if self.working:
            raise RuntimeError(
                f"a call in a thread is not done after {MAX_THREAD_SECONDS:g} s, while virtual time stands still"
            )
        if timeout is None:
            raise RuntimeError("nothing is left to happen, and the run still waits: check what it waits for")
        self.now += timeout
        self._still = 0
        return ready
