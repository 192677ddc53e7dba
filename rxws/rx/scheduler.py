"""The scheduler of an Observable that a handler returns, and a shorter way to subscribe to that."""

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
"""Actions that run at once within one turn of the event loop. More would let an endless source block the loop."""

LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)

LOOP_TIME: Final = timezone(timedelta(0), "UTC")
"""The time zone of `LoopScheduler.now`: UTC, but a separate object, so that a user's dates can be told apart."""


def loop_scheduler() -> LoopScheduler | None:
    """Make a scheduler for the running event loop; `None` if none runs in this thread."""
    try:
        return LoopScheduler(LoopThread(asyncio.get_running_loop()))
    except RuntimeError:
        return None


FITS_RXPY: Final = (
    hasattr(Observable, "_subscribe_core")
    and {"_idle", "_queue", "_run"} <= {*dir(Trampoline())}
    and hasattr(vars(Trampoline())["_queue"], "items")
)
"""Whether RxPY has the private names that `subscribe_directly` uses. If not, that calls `Observable.subscribe`."""

_SUBSCRIBE: Final[Any] = vars(Observable)["subscribe"]


class _Local(local):
    """Keeps this thread's trampoline: RxPY would look it up each time."""

    def __init__(self) -> None:
        self.trampoline: Any = CurrentThreadScheduler.singleton().get_trampoline()


_local: Final = _Local()


def subscribe_directly(
    observable: Observable[T], observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase
) -> abc.DisposableBase:
    """Subscribe with half as many calls as `Observable.subscribe`.

    The observer must take one terminal event, then nothing more, and dispose what this returns. RxPY otherwise puts an
    `AutoDetachObserver` before it that does so. Actions that are scheduled on this thread's trampoline meanwhile run
    before this returns, as in RxPY; the subscription itself is not scheduled there.
    """
    kind: Any = type(observable)
    if not FITS_RXPY or kind.subscribe is not _SUBSCRIBE:
        return observable.subscribe(observer, scheduler=scheduler)
    trampoline = _local.trampoline
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
    """Call `action` when the subscription that this thread is making is complete, or now if it makes none.

    An item that comes earlier could not end the subscription: its Disposable is not yet there.
    """

    def act(scheduler: abc.SchedulerBase, state: object = None) -> None:
        action()

    CurrentThreadScheduler.singleton().schedule(act)


class LoopScheduler(AsyncIOScheduler):
    """Runs immediate actions at once, as RxPY does by default, and timed actions on the event loop.

    On a plain `AsyncIOScheduler`, operators such as `start_with` and `concat` subscribe to their sources some turns of
    the event loop later, and lose messages that come in between. Here a subscription is complete when `subscribe`
    returns.

    Operators may schedule from any thread. Timed actions then run on the event loop, and immediate actions in the
    thread that schedules them.

    `now` is the wall clock's time at the first call, plus the time that has passed since by the monotonic clock. So it
    never jumps, and fits the event loop's timers. A user's date is compared with the wall clock when it is scheduled.

    An error in an action that the event loop has called goes to `on_raise`, or without it to the loop's exception
    handler. This matters for errors that are not an `Exception`: RxPY's operators do not take these.

    Memory: the actions that are scheduled and have not run.
    """

    _at_once = 0
    """Actions that have run at once in this turn of the event loop."""
    _left: list[tuple[ScheduledItem, BooleanDisposable]] | None = None
    """Actions beyond `MAX_AT_ONCE`, to be run in the next turn; `None` while no action runs."""
    _latest = LONG_AGO
    """The wall clock's time of the last immediate action: at least that of any action that still waits."""
    _began: float | None = None
    """The wall clock's time at which the monotonic clock was 0, as measured at the first call of `now`."""

    def __init__(self, thread: LoopThread, on_raise: Report | None = None) -> None:
        super().__init__(thread.loop)
        self._thread = thread
        self._on_raise = on_raise

    @property
    def now(self) -> datetime:
        """The time in UTC, unaffected by changes of the wall clock; in virtual time, the `now` of the event loop."""
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
        """Convert a time to this scheduler's clock; raises `TypeError` for a date without a time zone."""
        date = super().to_datetime(value)
        if date.tzinfo is None:
            raise TypeError(f"{date} has no time zone: use datetime.now(UTC) or date.astimezone(), for example")
        if date.tzinfo is LOOP_TIME or hasattr(self._loop, "now"):
            return date
        return self.now + (date - default_now())

    def schedule(self, action: typing.ScheduledAction[T], state: T | None = None) -> abc.DisposableBase:
        """Run an action at once, behind those that run already; in the next turn, if `MAX_AT_ONCE` have run in this.

        An operator that schedules itself again and again, such as `repeat`, keeps only the last Disposable that it got.
        The outermost call returns last, so its Disposable also disposes all actions that are left for the next turn.
        """
        current = CurrentThreadScheduler.singleton()
        trampoline = current.get_trampoline()
        self._latest = current.now if trampoline.idle() else max(self._latest, current.now)
        item = ScheduledItem(cast("Any", _StoppedClock(self._latest, self.invoke_action)), state, action, self._latest)
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
        """Run an action on the event loop in `duetime`; never within this call."""
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
        """Run an action in the next turn of the event loop, and after it those that it schedules."""
        self._loop.call_soon(self._guard, CurrentThreadScheduler.singleton().get_trampoline().run, item)
        return item.disposable

    def _guard(self, function: Callable[..., R], *args: Any) -> R | None:
        """Call a function for the event loop, and report what it raises."""
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


class _StoppedClock(NamedTuple):
    """The scheduler of an immediate action, for the trampoline.

    The trampoline waits until `now` is the time for which the action was scheduled. It would block the event loop for
    an hour if someone set the wall clock back by an hour meanwhile. So this clock always shows that very time. It is a
    separate object: an action that was its own scheduler would be a reference cycle, left to Python's collector.
    """

    now: datetime
    invoke_action: Callable[..., abc.DisposableBase]
