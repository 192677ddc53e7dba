"""From the event loop of a socket to that of a notebook: Observables of the one, notified on the other."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

from reactivex import Observable, Observer, abc
from reactivex.disposable import Disposable, SingleAssignmentDisposable
from reactivex.scheduler import NewThreadScheduler

from rxws.jupyter.connection.crossing import Crossing
from rxws.rx.broadcast import Broadcast, HotObservable
from rxws.rx.foreign import call
from rxws.rx.holds import Source, current_source, notify_from
from rxws.rx.loop_thread import LoopThread

T = TypeVar("T")
Raised = Callable[[Exception], object]
"""Takes what a subscriber has raised, in the context of the cell that subscribed."""


class Relay(Observable[T]):
    """An Observable whose home is another thread's event loop; notifies on the one that runs where it is subscribed.

    It is subscribed in the source's thread, in the order of all calls that are handed over there. While the loop
    here is busy, because a cell blocks, say, items wait: see `Crossing`. What a subscriber raises costs nobody else
    anything. One that brings a scheduler of threads, as `run()` does, is notified in the source's thread.

    Made from a hot one, `root`, it lets that cross from then on, too.
    """

    def __init__(
        self, source: Observable[T], home: LoopThread, raised: Raised, root: HotRelay[Any] | None = None
    ) -> None:
        super().__init__()
        self._source = source
        self._home = home
        self._raised = raised
        self._root = root

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        here = _loop_for(scheduler)
        if here is None:
            return subscribe_there(self._source, self._home, observer)
        crossing = Crossing(_InContext(observer, self._raised), self._home, here, _say(self._raised))
        upstream = subscribe_there(self._source, self._home, crossing)
        if self._root is not None:
            self._root.cross(here)

        def leave() -> None:
            upstream.dispose()
            crossing.stop()

        return Disposable(leave)


class HotRelay(HotObservable[T]):
    """As `Relay`, of a hot Observable: its items cross once, and go to those who are subscribed here by then.

    So `outgoing.on_next(question)` and then `await incoming.pipe(first())` in one cell do not miss the answer, as on
    a single event loop.
    """

    def __init__(self, source: Observable[T], home: LoopThread, raised: Raised) -> None:
        self._source = source
        self._home = home
        self._raised = raised
        self._broadcast = Broadcast[T](raised)
        self._crossing: Crossing | None = None

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        here = _loop_for(scheduler)
        if here is None:
            return subscribe_there(self._source, self._home, observer, self._crossing)
        subscription = self._broadcast.subscribe(_InContext(observer, self._raised))
        self.cross(here)
        return subscription

    def cross(self, here: asyncio.AbstractEventLoop) -> None:
        """Let the items cross, whoever is subscribed here by then."""
        if self._crossing is None:
            everyone = Observer(self._broadcast.emit, self.end, self.end)
            self._crossing = Crossing(everyone, self._home, here, _say(self._raised))
            subscribe_there(self._source, self._home, self._crossing)


def subscribe_there(
    source: Observable[Any], home: LoopThread, observer: abc.ObserverBase[Any], crossing: Crossing | None = None
) -> abc.DisposableBase:
    """Subscribe in the source's thread, or here if that has ended; to what is under way on a crossing, too."""
    upstream = SingleAssignmentDisposable()
    once = Lock()

    def begin() -> None:
        if not once.acquire(blocking=False):
            return
        if crossing is not None:
            for item in crossing.waiting():
                observer.on_next(item)
        if not upstream.is_disposed:
            upstream.disposable = source.subscribe(observer)

    home.run(begin)
    if home.loop.is_closed():
        begin()
    return Disposable(lambda: home.run(upstream.dispose))


def _loop_for(scheduler: abc.SchedulerBase | None) -> asyncio.AbstractEventLoop | None:
    """Find the event loop to notify on; none for those who wait in a thread."""
    if not isinstance(scheduler, NewThreadScheduler):
        with contextlib.suppress(RuntimeError):
            return asyncio.get_running_loop()
    return None


def _say(raised: Raised) -> Callable[[int], object]:
    return lambda missing: raised(OverflowError(f"{missing} items were dropped while the notebook's loop was blocked"))


class _InContext(abc.ObserverBase[Any]):
    """Notifies an observer in the context in which it was subscribed: what it prints goes to its cell."""

    def __init__(self, observer: abc.ObserverBase[Any], raised: Raised) -> None:
        self._observer = observer
        self._raised = raised
        self._context = contextvars.copy_context()

    def on_next(self, value: Any) -> None:
        self._notify(current_source.get(), self._observer.on_next, value)

    def on_error(self, error: Exception) -> None:
        self._notify(None, self._observer.on_error, error)

    def on_completed(self) -> None:
        self._notify(None, self._observer.on_completed)

    def _notify(self, source: Source | None, notify: Callable[..., object], *item: Any) -> None:
        self._context.run(notify_from, source, call, self._raised, "a subscriber", notify, *item)
