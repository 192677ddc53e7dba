"""From the event loop of a socket to that of a notebook: Observables of the one, notified on the other."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable, Iterable, Iterator
from threading import Lock
from typing import Any, Final, TypeVar

from reactivex import Observable, Observer, abc
from reactivex.disposable import Disposable, SingleAssignmentDisposable
from reactivex.scheduler import NewThreadScheduler

from rxws.core.incoming import Readers
from rxws.jupyter.connection.crossing import Crossing
from rxws.jupyter.connection.names import Lease
from rxws.jupyter.errors import Shown
from rxws.rx.broadcast import Broadcast, HotObservable, Subscription, Unlocked
from rxws.rx.endings import how_it_ended, tell_ending
from rxws.rx.foreign import call
from rxws.rx.holds import Downstream, Held, Source, current_source, notify_from
from rxws.rx.loop_thread import LoopThread
from rxws.rx.scheduler import when_subscribed

T = TypeVar("T")
RAISED: Final[contextvars.ContextVar[Shown | None]] = contextvars.ContextVar("RAISED", default=None)
"""What shows the errors of the subscription that is notified."""
Raised = Callable[[Exception], object]
"""Takes what a subscriber has raised, in the context of the cell that subscribed."""


class Relay(Unlocked[T]):
    """An Observable whose home is another thread's event loop; notifies on the one that runs where it is subscribed.

    It is subscribed in the source's thread, in the order of all calls that are handed over there. While the loop
    here is busy, because a cell blocks, say, items wait: see `Crossing`. What a subscriber raises costs nobody else
    anything. One that brings a scheduler of threads, as `run()` does, is notified in the source's thread.

    All relays hold the `lease` of their socket; what is subscribed to them does not.
    """

    def __init__(self, source: Observable[T], home: LoopThread, raised: Raised, lease: Lease) -> None:
        super().__init__()
        self._source = source
        self._home = home
        self._raised = raised
        self._lease = lease

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        here = _loop_for(scheduler)
        if here is None:
            return subscribe_there(self._source, self._home, observer)
        crossing = Crossing(_InContext(observer, self._raised), self._home, here, _say(self._raised))
        upstream = subscribe_there(self._source, self._home, crossing)

        def leave() -> None:
            upstream.dispose()
            crossing.stop()

        return Disposable(leave)


class HotRelay(HotObservable[T]):
    """As `Relay`, of a hot Observable: its items cross once, and go to those who are subscribed here by then.

    So what comes while a cell runs is not missed by one who subscribes later in that cell, as on a single event loop.
    """

    def __init__(self, source: Observable[T], home: LoopThread, raised: Raised, lease: Lease) -> None:
        self._source = source
        self._home = home
        self._raised = raised
        self._lease = lease
        self.readers = self._broadcast = Broadcast[T](raised)
        self._crossing: Crossing | None = None

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        here = _loop_for(scheduler)
        if here is None:
            return subscribe_there(self._source, self._home, observer, self._under_way)
        subscription = self.readers.subscribe(_InContext(observer, self._raised))
        if self._crossing is None:
            everyone = Observer(self.readers.emit, self.readers.end, self.readers.end)
            self._crossing = Crossing(everyone, self._home, here, _say(self._raised))
            subscribe_there(self._source, self._home, self._crossing)
        return subscription

    def _under_way(self) -> Iterable[T]:
        return () if self._crossing is None else self._crossing.waiting()


class IncomingRelay(HotObservable[T]):
    """As `HotRelay`, of what a peer sends: nothing is lost between two readers, whether they are here or there.

    While nobody here reads, nothing crosses. What is under way then waits for the next reader.
    """

    def __init__(self, source: Observable[T], home: LoopThread, raised: Raised, lease: Lease) -> None:
        self._raised = raised
        self._lease = lease
        self._bridge = Bridge(source, home, raised)
        self.readers = self._broadcast = self._bridge.readers

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        if _loop_for(scheduler) is not None:
            reader = _InContext(observer, self._raised)
            self.readers.admit(reader)
            return Subscription(self.readers, reader)
        self.readers.check_cursor()
        return self._bridge.subscribe_there(observer)


class Bridge(Held, Downstream):
    """The owner of the readers here: what comes crosses while it is not held."""

    gone = False
    source = None  # what a notebook works on does not keep the socket's end waiting

    def __init__(self, source: Observable[Any], home: LoopThread, raised: Raised) -> None:
        self.readers: Readers[Any] = Readers(self, raised)
        self._source = source
        self._home = home
        self._raised = raised
        self._here: LoopThread | None = None
        self._crossing: Crossing | None = None
        self._upstream: abc.DisposableBase = Disposable()
        self._held = 1  # until there is a reader
        self._crosses = False

    @property
    def thread(self) -> LoopThread:
        """The thread of those who read here: that of the first one."""
        if self._here is None:
            self._here = LoopThread(asyncio.get_running_loop())
        return self._here

    def now_shared(self) -> None:
        """Do nothing: all that a notebook subscribes is its own."""

    def deserted(self, how: object) -> None:
        """Do nothing: the socket of a notebook stays as long as it has a name."""

    def report(self, error: Exception) -> None:
        """Take what a reader has raised."""
        self._raised(error)

    def _follow_holds(self) -> None:
        self.thread.run(self._cross_or_wait)

    def _cross_or_wait(self) -> None:
        """Let nothing cross while it is held; then what comes, behind what is under way."""
        if self._crosses is not bool(self._held):
            return
        self._crosses = not self._held
        if self._crossing is None:
            everyone = Observer(self.readers.emit, self.readers.end, self.readers.end)
            self._crossing = Crossing(everyone, self._home, self.thread.loop, _say(self._raised))
        elif self._crosses:
            self._crossing.release()
        else:
            self._crossing.hold()
            self._upstream.dispose()
            return
        self._upstream = subscribe_there(self._source, self._home, self._crossing)

    def subscribe_there(self, observer: abc.ObserverBase[Any]) -> abc.DisposableBase:
        """Subscribe one who waits in a thread: to what is under way, too."""
        return subscribe_there(self._source, self._home, observer, self._under_way)

    def _under_way(self) -> Iterator[Any]:
        kept, self.readers.kept = self.readers.kept, ()
        yield from kept
        if self._crossing is not None:
            yield from self._crossing.drain() if self._held else self._crossing.waiting()


def subscribe_there(
    source: Observable[Any],
    home: LoopThread,
    observer: abc.ObserverBase[Any],
    before: Callable[[], Iterable[Any]] = tuple,
) -> abc.DisposableBase:
    """Subscribe in the source's thread, or here if that has ended; to what is there `before`, too."""
    upstream = SingleAssignmentDisposable()
    once = Lock()

    def begin() -> None:
        if not once.acquire(blocking=False):
            return
        for item in before():
            observer.on_next(item)
            if upstream.is_disposed:
                return
        if not upstream.is_disposed:
            upstream.disposable = source.subscribe(observer)

    def call() -> None:
        home.run(begin)
        if home.loop.is_closed():
            begin()

    when_subscribed(call)
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
        self._shown = Shown()
        self._context.run(RAISED.set, self._shown)

    def on_next(self, value: Any) -> None:
        self._notify(current_source.get(), self._observer.on_next, value)

    def on_error(self, error: Exception) -> None:
        self._notify(None, self._observer.on_error, error)
        self._context.run(self._shown.tell)

    def on_completed(self) -> None:
        self._notify(None, tell_ending, how_it_ended(), self._observer.on_completed)
        self._context.run(self._shown.tell)

    def _notify(self, source: Source | None, notify: Callable[..., object], *item: Any) -> None:
        self._context.run(notify_from, source, call, self._raised, "a subscriber", notify, *item)
