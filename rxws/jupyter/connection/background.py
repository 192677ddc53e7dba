"""An event loop on a thread of its own, for what must go on while a cell blocks."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

JOIN_TIMEOUT: Final = 2.0
"""Seconds that the interpreter waits at its exit for each thread."""


class Background(Generic[T]):
    """A coroutine function that runs on its own thread's event loop until it is told to stop.

    It gets a function to call with what it has made, which `made` waits for, and an event that tells it to end. The
    thread ends with it; `afterwards` is called last, when the loop is closed. What it raises before it has made
    anything, `made` raises. What it raises later goes to `threading.excepthook`, which prints it.
    """

    def __init__(
        self,
        body: Callable[[Callable[[T], None], asyncio.Event], Coroutine[Any, Any, None]],
        name: str,
        afterwards: Callable[[], object] = lambda: None,
    ) -> None:
        self._body = body
        self._afterwards = afterwards
        self._made = Future[T]()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._stopped = False
        self._finished = Future[None]()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        atexit.register(self._leave)

    async def made(self) -> T:
        """Wait for what the coroutine makes; raises what it raised before. Cancelled, it stops the coroutine."""
        try:
            return await asyncio.wrap_future(self._made)
        except asyncio.CancelledError:
            self.stop()
            raise

    def made_soon(self, timeout: float) -> T:
        """Wait for what the coroutine makes, and block meanwhile. Too late, or interrupted, it stops the coroutine."""
        try:
            return self._made.result(timeout)
        except BaseException as error:
            self.stop()
            if isinstance(error, TimeoutError) and not self._made.done():
                raise TimeoutError(f"the {self._thread.name} has not begun within {timeout:g} s") from None
            raise

    def stop(self) -> None:
        """Tell the coroutine to end; from any thread, also before the loop runs."""
        self._stopped = True
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._stop.set)

    def finished(self) -> Awaitable[None]:
        """Give what waits for the end of the thread."""
        return asyncio.shield(asyncio.wrap_future(self._finished))

    def join(self, timeout: float) -> None:
        """Block until the thread has ended, for at most `timeout` seconds."""
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            if not self._made.done():
                self._made.set_exception(error)
            elif not self._made.cancelled():
                raise
        finally:
            try:
                self._afterwards()
            finally:
                atexit.unregister(self._leave)
                self._finished.set_result(None)

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self._stopped:
            self._stop.set()
        await self._body(self._give, self._stop)

    def _give(self, made: T) -> None:
        if not self._made.cancelled():
            self._made.set_result(made)

    def _leave(self) -> None:
        self.stop()
        self.join(JOIN_TIMEOUT)
