"""The scheduler that a returned Observable runs on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from threading import local
from typing import Any, Final, NamedTuple, TypeVar, cast

from reactivex import Observable, abc, typing
from reactivex.disposable import BooleanDisposable, CompositeDisposable, Disposable, SingleAssignmentDisposable
from reactivex.internal.basic import default_now
from reactivex.scheduler import CurrentThreadScheduler
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.scheduler.scheduleditem import ScheduledItem
from reactivex.scheduler.trampoline import Trampoline

from rxws.errors import raise_fatal
from rxws.rx.foreign import Report, as_error
from rxws.rx.loop_thread import LoopThread

T = TypeVar("T")
R = TypeVar("R")

MAX_AT_ONCE: Final = 1000
"""Actions that run at once within one turn of the event loop; a source that never ends must not stop the loop."""

LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)

LOOP_TIME: Final = timezone(timedelta(0), "UTC")
"""The time zone of a scheduler's own times: UTC, but another object, which tells them from dates of the user's."""


def loop_scheduler() -> LoopScheduler | None:
    """Make a scheduler of the event loop that runs here, if one does."""
    try:
        return LoopScheduler(LoopThread(asyncio.get_running_loop()))
    except RuntimeError:
        return None


REACHABLE: Final = (
    hasattr(Observable, "_subscribe_core")
    and {"_idle", "_queue", "_run"} <= {*dir(Trampoline())}
    and hasattr(vars(Trampoline())["_queue"], "items")
)
"""Whether RxPY is inside as `subscribing` has it; else it subscribes as anyone does."""

_SUBSCRIBE: Final[Any] = vars(Observable)["subscribe"]


class _Own(local):
    """This thread's trampoline, which RxPY looks up by the thread each time."""

    def __init__(self) -> None:
        self.trampoline: Any = CurrentThreadScheduler.singleton().get_trampoline()


_own: Final = _Own()


def subscribing(
    observable: Observable[T], observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase
) -> abc.DisposableBase:
    """Subscribe an observer that ends once, then disposes what this returns, and hears nothing more.

    RxPY's `subscribe` puts an observer before it that does just that. What is scheduled meanwhile in this thread
    follows, as there, but this subscription itself need not wait among that: these are half of RxPY's calls.
    """
    kind: Any = type(observable)
    if not REACHABLE or kind.subscribe is not _SUBSCRIBE:
        return observable.subscribe(observer, scheduler=scheduler)
    trampoline = _own.trampoline
    if not trampoline._idle:
        return _subscribe(observable, observer, scheduler)
    trampoline._idle = False
    queue = trampoline._queue
    try:
        subscription = _subscribe(observable, observer, scheduler)
        if queue.items:
            trampoline._run()
        return subscription
    finally:
        trampoline._idle = True
        if queue.items:
            queue.clear()


def _subscribe(observable: Any, observer: Any, scheduler: abc.SchedulerBase) -> abc.DisposableBase:
    try:
        subscription = observable._subscribe_core(observer, scheduler)
    except Exception as error:
        if not observer.fail(error):
            raise
        return Disposable()
    return subscription if hasattr(subscription, "dispose") else Disposable(subscription)


def when_subscribed(action: Callable[[], object]) -> None:
    """Act when what this thread is subscribing can be disposed: an item that came before could not end it."""

    def act(scheduler: abc.SchedulerBase, state: object = None) -> None:
        action()

    CurrentThreadScheduler.singleton().schedule(act)


class LoopScheduler(AsyncIOScheduler):
    """Timed work on the event loop; immediate work at once, as RxPY does by default.

    On a plain `AsyncIOScheduler`, `start_with`, `concat` and their like subscribe to their sources some turns of the
    event loop later, and a message that comes in between is lost to them. Here a subscription is whole when
    `subscribe` returns.

    Operators behind a source that runs on a thread schedule from there: timed work goes to the event loop from any
    thread, immediate work stays in its own.

    Operators compare times of `now`, and an event loop's timers go by a clock that nobody can set. So does `now`: it
    is the wall clock's time when it is asked for first, and what has passed since. Dates of the user's are compared
    with the wall clock as it is when they are scheduled.

    What an action raises that the event loop has called goes to `on_raise`, if that is given, else to the loop's
    exception handler. RxPY's operators make a failure of an `Exception`, but of nothing else.
    """

    _at_once = 0
    _left: list[tuple[ScheduledItem, BooleanDisposable]] | None = None
    """Actions that are left to run soon, while others run at once; `None` while none does."""
    _latest = LONG_AGO
    """When the last action was scheduled to run at once, by the wall clock; never earlier than one that waits."""
    _began: float | None = None
    """When the monotonic clock began, by the wall clock as it is when the time is asked for first."""

    def __init__(self, thread: LoopThread, on_raise: Report | None = None) -> None:
        super().__init__(thread.loop)
        self._thread = thread
        self._on_raise = on_raise

    @property
    def now(self) -> datetime:
        """The time, unaffected by who sets the wall clock; the loop's own where that is virtual and has a `now`."""
        virtual_now: Callable[[], datetime] | None = getattr(self._loop, "now", None)
        if virtual_now is not None:
            return virtual_now()
        if self._began is None:
            self._began = time.time() - time.monotonic()
        # not loop.time(), since uvloop's stands still while it waits
        return datetime.fromtimestamp(self._began + time.monotonic(), LOOP_TIME)

    def to_datetime(  # pyright: ignore[reportIncompatibleMethodOverride] - RxPY calls it on instances alone
        self, value: typing.AbsoluteOrRelativeTime
    ) -> datetime:
        """Return when it is `value`, by this scheduler's clock; raises `TypeError` for a date without a time zone."""
        date = super().to_datetime(value)
        if date.tzinfo is None:
            raise TypeError(f"{date} has no time zone: use datetime.now(UTC) or date.astimezone(), for example")
        if date.tzinfo is LOOP_TIME or hasattr(self._loop, "now"):
            return date
        return self.now + (date - default_now())

    def schedule(self, action: typing.ScheduledAction[T], state: T | None = None) -> abc.DisposableBase:
        """Run an action at once, after those that run already; or soon, if it is one too many.

        An operator that goes on and on, `repeat` say, has one place for the disposable of what it scheduled last. The
        call that began all this returns last, and what it returns goes there too. So that stands for all that is left.
        """
        current = CurrentThreadScheduler.singleton()
        trampoline = current.get_trampoline()
        self._latest = current.now if trampoline.idle() else max(self._latest, current.now)
        item = ScheduledItem(cast("Any", _Standing(self._latest, self.invoke_action)), state, action, self._latest)
        if not self._thread.here():
            trampoline.run(item)
            return item.disposable
        if self._at_once >= MAX_AT_ONCE:
            if self._left is None:
                return self._soon(item)
            self._left.append((item, given := BooleanDisposable()))
            return given
        if not self._at_once:
            self._loop.call_soon(self._next_turn)
        self._at_once += 1
        if not trampoline.idle():
            trampoline.run(item)
            return item.disposable
        left: list[tuple[ScheduledItem, BooleanDisposable]] = []
        self._left = left
        try:
            trampoline.run(item)
        finally:
            self._left = None
        soon = [self._soon(other) for other, given in left if not given.is_disposed]
        return CompositeDisposable(item.disposable, *soon) if soon else item.disposable

    def schedule_relative(
        self, duetime: typing.RelativeTime, action: typing.ScheduledAction[T], state: T | None = None
    ) -> abc.DisposableBase:
        """Run an action in `duetime`, never at once."""
        timed = SingleAssignmentDisposable()

        def act(scheduler: abc.SchedulerBase, state: T | None = None) -> abc.DisposableBase | None:
            return self._guard(action, scheduler, state)

        def start() -> None:
            if self.to_seconds(duetime) > 0:
                timed.disposable = AsyncIOScheduler.schedule_relative(self, duetime, act, state)
            else:
                timed.disposable = AsyncIOScheduler.schedule(self, act, state)

        self._thread.run(start)
        return Disposable(lambda: self._thread.run(timed.dispose))

    def _soon(self, item: ScheduledItem) -> abc.DisposableBase:
        """Run an action in the next turn of the event loop, with those that it schedules behind it."""
        self._loop.call_soon(self._guard, CurrentThreadScheduler.singleton().get_trampoline().run, item)
        return item.disposable

    def _guard(self, function: Callable[..., R], *args: Any) -> R | None:
        """Call what the event loop calls, and report what it raises."""
        try:
            return function(*args)
        except BaseException as error:
            if self._on_raise is None:
                raise
            self._on_raise(as_error(error, "a pipeline"))
            raise_fatal(error)
            return None

    def _next_turn(self) -> None:
        self._at_once = 0


class _Standing(NamedTuple):
    """What the trampoline asks of the scheduler of an action that runs at once.

    The trampoline waits until that shows the time for which the action was scheduled, and would block the event loop
    for an hour if the wall clock was put back by that meanwhile. So this clock stands. It is an object of its own: an
    action that stood for its scheduler would refer to itself, and keep all that it has for Python's collector.
    """

    now: datetime
    invoke_action: Callable[..., abc.DisposableBase]
