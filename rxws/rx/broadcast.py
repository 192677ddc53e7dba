"""Hot streams: their observers are served one notification at a time, each safe from the others' errors."""

from __future__ import annotations

from abc import abstractmethod
from asyncio import Future, get_running_loop
from collections import deque
from collections.abc import Callable, Generator, Iterable
from functools import partial
from threading import Lock, RLock
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar, cast

from reactivex import Observable, abc
from reactivex.internal import default_error, noop
from reactivex.observer.autodetachobserver import AutoDetachObserver
from reactivex.subject import Subject

from rxws.checks import called, is_async, named
from rxws.errors import FeedbackLoop, raise_fatal
from rxws.rx.foreign import as_error, call_all, described, without_frames
from rxws.rx.loop_thread import set_result

T = TypeVar("T")
_lock = Lock()


class Broadcast(Generic[T]):
    """Sends values to observers, as the Rx contract has it.

    Notifications are serialized: what an observer emits while it is being notified follows when all observers
    have had the present value. Beyond `max_fed` that come of one, what waits is dropped, and a `FeedbackLoop` goes to
    `on_raise`. One terminal event comes, and nothing after it. What an observer raises goes to `on_raise`; the others
    still get the value. No lock is taken to emit: `observers` is replaced, not changed. One who subscribes in another
    thread gets the end, too, whenever it comes.
    """

    __slots__ = ("_backlog", "_busy", "_on_raise", "error", "observers", "stopped")
    max_fed = 1000
    is_for_many = False
    """Whether its observers belong to different owners."""
    is_source = False
    """Whether the way of an item begins here."""

    def __init__(self, on_raise: Callable[[Exception], object]) -> None:
        self.observers: tuple[abc.ObserverBase[T], ...] = ()
        self.stopped = False
        self._busy = False
        self.error: Exception | None = None
        self._backlog: deque[T] | None = None
        self._on_raise = on_raise

    def emit(self, value: T) -> None:
        """Send a value to all observers; ignored after the end."""
        if self.stopped:
            return
        if self._busy:
            self._backlog = self._backlog or deque()
            if len(self._backlog) <= self.max_fed:
                self._backlog.append(value)
            return
        self._busy = True
        fed = 0
        try:
            while True:
                for observer in self.observers:
                    try:
                        on_next = observer.on_next
                        on_next(value)
                    except BaseException as error:
                        self.raised(observer, as_error(error, "a subscriber"))
                        raise_fatal(error)
                if not self._backlog:
                    break
                value = self._backlog.popleft()
                fed += 1
                if fed > self.max_fed:
                    self._backlog.clear()
                    self._on_raise(FeedbackLoop(value, fed, ", ".join(map(_name_of, self.observers))))
                    self._backlog.clear()
                    break
        finally:
            self._busy = False
            if self.stopped and self.observers:
                self._finish()

    def end(self, error: Exception | None = None) -> None:
        """Complete, or fail with `error`, all observers, once; within a notification, right after it."""
        with _lock:
            if self.stopped:
                return
            self.error = error
            self.stopped = True
        if self.observers and not self._busy:  # as most streams of most sockets have none
            self._finish()

    def tell(self, on_raise: Callable[[Exception], object]) -> None:
        """Report to another one, from now on, what observers raise."""
        self._on_raise = on_raise

    def forget_frames(self) -> None:
        """Keep of what it failed with only what late subscribers need."""
        if self.error is not None:
            self.error = without_frames(self.error)

    def add(self, observer: abc.ObserverBase[T], *, first: bool = False) -> None:
        """Add an observer, before the others if `first`; after the end it gets just that."""
        with _lock:
            stopped = self.stopped
            if not stopped:
                self.observers = (observer, *self.observers) if first else (*self.observers, observer)
        if stopped:
            self._end_of(observer)

    def subscribe(self, observer: abc.ObserverBase[T], *, first: bool = False) -> abc.DisposableBase:
        """Add an observer that does not leave by itself, and give what it leaves by."""
        self.add(observer, first=first)
        return Subscription(self, observer)

    def remove(self, observer: abc.ObserverBase[T]) -> None:
        """Forget an observer, if it is there."""
        if self.observers:
            with _lock:
                self.observers = tuple([other for other in self.observers if other is not observer])

    def raised(self, observer: abc.ObserverBase[T], error: Exception) -> None:
        """Report what an observer has raised."""
        self._on_raise(error)

    def _finish(self) -> None:
        with _lock:
            observers, self.observers = self.observers, ()
        call_all(self._not_handled, "a subscriber", *[partial(self._end_of, observer) for observer in observers])

    def _not_handled(self, error: Exception) -> None:
        if error is not self.error:  # which an observer raises that was given no on_error
            self._on_raise(error)

    def _end_of(self, observer: abc.ObserverBase[T]) -> None:
        if self.error is None:
            observer.on_completed()
        else:
            observer.on_error(self.error)


def _name_of(observer: abc.ObserverBase[Any]) -> str:
    """Name what an observer calls, as far as that is known."""
    function = getattr(observer, "_on_next", observer.on_next)
    return described(function, named)


class Subscription(abc.DisposableBase):
    """Ends the notification of an observer."""

    __slots__ = ("_broadcast", "_observer")

    def __init__(self, broadcast: Broadcast[Any], observer: abc.ObserverBase[Any]) -> None:
        self._broadcast = broadcast
        self._observer = observer

    def dispose(self) -> None:
        """End it; once more does nothing."""
        self._broadcast.remove(self._observer)


class Subscriber(abc.ObserverBase[T], abc.DisposableBase):
    """What a subscriber of a hot Observable is called by, and disposes; in RxPY four objects and two locks."""

    __slots__ = ("__dict__", "_broadcast", "_on_completed", "_on_error", "on_next")  # watched, it gets one more

    def __init__(
        self,
        broadcast: Broadcast[T],
        on_next: abc.OnNext[T] | None,
        on_error: abc.OnError | None,
        on_completed: abc.OnCompleted | None,
    ) -> None:
        self._broadcast: Broadcast[T] | None = broadcast
        self.on_next: abc.OnNext[T] = on_next or noop  # pyright: ignore[reportIncompatibleMethodOverride]
        self._on_error = on_error or default_error
        self._on_completed = on_completed or noop

    def on_error(self, error: Exception) -> None:
        """Fail, once."""
        self._end(partial(self._on_error, error))

    def on_completed(self) -> None:
        """Complete, once."""
        self._end(self._on_completed)

    def _end(self, notify: Callable[[], object]) -> None:
        """Notify of the end, then dispose: who watches for that, and closes a socket, is to know the end before."""
        self._stop()
        try:
            notify()
        finally:
            self.dispose()

    def dispose(self) -> None:
        """End it, for the present notification, too; once more does nothing."""
        if self._broadcast is not None:
            self._stop()

    def _stop(self) -> None:
        broadcast, self._broadcast = self._broadcast, None
        if broadcast is not None:
            self.on_next = self._on_error = self._on_completed = noop
            broadcast.remove(self)


_AUTO_DETACH: Final[Any] = AutoDetachObserver

IN_THE_PIPELINE: Final = "await it in the pipeline, .pipe(rxws.operators.map_async(...)).subscribe()"


def check_subscriber(on_next: Any, on_error: Any, on_completed: Any) -> None:
    """Raise `TypeError` for a coroutine function among what a subscriber is called by, behind operators too.

    An operator of RxPY hands on the `on_error` of the next one, which knows what that calls.
    """
    while True:
        on_next = getattr(on_next, "on_next", on_next)
        if on_next is not None and not callable(on_next):
            raise TypeError(
                f"subscribe takes a function, or an observer such as a Subject, not {on_next!r}: "
                "write source.subscribe(sink), as in incoming.subscribe(outgoing)"
            )
        if is_async(on_next) or is_async(on_error) or is_async(on_completed):
            called("on_next", on_next, IN_THE_PIPELINE)
            called("on_error", on_error)
            called("on_completed", on_completed)
        for function in (on_error, on_completed):
            owner = getattr(function, "__self__", None)
            behind: Any = getattr(owner, "_observer", owner)  # of RxPY's, or what an operator of rxws notifies
            if type(behind) is _AUTO_DETACH:
                break
        else:
            return
        on_next, on_error, on_completed = behind._on_next, behind._on_error, behind._on_completed


def callbacks(
    on_next: abc.ObserverBase[T] | abc.OnNext[T] | None,
    on_error: abc.OnError | None,
    on_completed: abc.OnCompleted | None,
) -> tuple[abc.OnNext[T] | None, abc.OnError | None, abc.OnCompleted | None]:
    """Take the methods of an observer that `subscribe` was given in place of a function."""
    check_subscriber(on_next, on_error, on_completed)
    if callable(getattr(on_next, "on_next", None)):
        observer: Any = on_next
        return observer.on_next, observer.on_error, observer.on_completed
    function: Any = on_next
    return function, on_error, on_completed


class Unlocked(Observable[T]):
    """An rxws Observable. Those of RxPY have a lock, for operators such as `merge`; here it is made on request."""

    _subscribe = None
    __iter__ = None
    """RxPY's have an item for each index, so a `for` loop over one would not end: here it raises `TypeError`."""

    def __init__(self) -> None:
        """Do without RxPY's attributes."""

    def subscribe(
        self,
        on_next: abc.ObserverBase[T] | abc.OnNext[T] | None = None,
        on_error: abc.OnError | None = None,
        on_completed: abc.OnCompleted | None = None,
        *,
        scheduler: abc.SchedulerBase | None = None,
    ) -> abc.DisposableBase:
        """Subscribe an observer, or callbacks; what is returned ends it."""
        check_subscriber(on_next, on_error, on_completed)
        return super().subscribe(on_next, on_error, on_completed, scheduler=scheduler)

    if TYPE_CHECKING:
        pass  # RxPY's method has the types
    else:

        def pipe(self, *operators: Callable[[Any], Any]) -> Any:
            """Compose operators left to right, at half the cost: RxPY's imports a module in each call."""
            composed = self
            for operator in operators:
                composed = operator(composed)
            return composed

    def __aiter__(self) -> NoReturn:
        """Raise `TypeError`, which says what `async for` takes."""
        raise TypeError(
            f"'async for' does not take an Observable, here {named(type(self))}: write 'async for message in socket', "
            "or iterate over rxws.operators.to_async_iterable(...)"
        )

    @property
    def lock(self) -> RLock:  # pyright: ignore
        """What operators take while they work on this source."""
        return vars(self).setdefault("_lock", RLock())


class HotObservable(Unlocked[T]):
    """An Observable that is what its broadcast says."""

    _broadcast: Broadcast[T]

    @property
    def observed(self) -> bool:
        """Whether anyone is subscribed, or watches."""
        return bool(self._broadcast.observers)

    def end(self, error: Exception | None = None) -> None:
        """Complete, or fail."""
        self._broadcast.end(error)

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._broadcast.subscribe(observer)


class OwnSubject(Unlocked[T], Subject[T]):
    """An rxws Subject: a subclass says what it does with what it gets. Calls never raise `DisposedException`."""

    is_stopped = False
    is_disposed = False

    @property
    def observers(self) -> list[abc.ObserverBase[T]]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The present observers, in a list that is the caller's; raises `AttributeError` where nobody knows them."""
        raise AttributeError(f"a {type(self).__name__} does not know its observers: they may be in other processes")

    @property
    def exception(self) -> Exception | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What it has failed with."""
        return None

    def fail(self, exn: Exception) -> bool:
        """Call `on_error`, unless it has ended; tell whether it had not."""
        if self.is_stopped:
            return False
        self.on_error(exn)
        return True


class HotSubject(HotObservable[T], OwnSubject[T]):
    """A Subject that is what its broadcast says."""

    @property
    def observers(self) -> list[abc.ObserverBase[T]]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The present observers, and recorders, in a list that is the caller's."""
        return list(self._broadcast.observers)

    @property
    def exception(self) -> Exception | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What it has failed with."""
        return self._broadcast.error


class Direct(Unlocked[T]):
    """An Observable that notifies those who subscribe itself, without RxPY's objects between."""

    def subscribe(
        self,
        on_next: abc.ObserverBase[T] | abc.OnNext[T] | None = None,
        on_error: abc.OnError | None = None,
        on_completed: abc.OnCompleted | None = None,
        *,
        scheduler: abc.SchedulerBase | None = None,
    ) -> abc.DisposableBase:
        """Subscribe an observer, or callbacks; what is returned ends it."""
        return self._join(*callbacks(on_next, on_error, on_completed))

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self.subscribe(observer)

    @abstractmethod
    def _join(self, *notify: Any) -> abc.DisposableBase:
        """Notify by these three functions, from now on."""
        ...


class Hot(Direct[T], HotObservable[T]):
    """A hot Observable: subscribers see what comes from then on."""

    def __init__(self, on_raise: Callable[[Exception], object]) -> None:
        self._broadcast = Broadcast(on_raise)
        self.emit = self._broadcast.emit  # Broadcast.emit

    def _join(self, *notify: Any) -> abc.DisposableBase:
        subscriber = Subscriber(self._broadcast, *notify)
        self._admit(subscriber)
        return subscriber

    def _admit(self, observer: abc.ObserverBase[T]) -> None:
        self._broadcast.add(observer)


class Replaying(HotObservable[T]):
    """A hot Observable whose late subscribers get what it keeps, then what comes: each value once, in order.

    That holds in whatever thread they subscribe. Memory: the newest values, of `limit` weight together, or one.
    """

    def __init__(self, limit: int, on_raise: Callable[[Exception], object]) -> None:
        self._broadcast: Broadcast[tuple[int, T]] = Broadcast(on_raise)  # pyright: ignore[reportIncompatibleVariableOverride]
        self._limit = limit
        self._kept: deque[tuple[int, T, int]] | None = None
        self._weight = 0
        self._number = 0

    def emit(self, value: T, weight: int = 1) -> None:
        """Keep a value, and send it to all observers."""
        with _lock:
            number = self._number = self._number + 1
            kept = self._kept = self._kept or deque()
            kept.append((number, value, weight))
            self._weight += weight
            while self._weight > self._limit and len(kept) > 1:
                self._weight -= kept.popleft()[-1]
        self._broadcast.emit((number, value))

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        late = _Late(observer)
        subscription = self._broadcast.subscribe(late)  # first, so that nothing falls in between
        with _lock:
            kept = tuple(self._kept or ())
        try:
            late.begin([(number, value) for number, value, _ in kept])
        except BaseException:
            subscription.dispose()  # nobody else could: what comes would wait for it forever
            raise
        return subscription


class _Late(abc.ObserverBase[tuple[int, T]]):
    """Hands on what was kept; what comes meanwhile waits, and what comes twice does not count."""

    def __init__(self, observer: abc.ObserverBase[T]) -> None:
        self._observer = observer
        self._waiting: deque[Callable[[], object]] | None = deque()
        self._seen = 0

    def begin(self, kept: Iterable[tuple[int, T]]) -> None:
        """Hand on what was kept, then what waits."""
        for numbered in kept:
            self._hand_on(numbered)
        while True:
            with _lock:
                if not self._waiting:
                    self._waiting = None
                    return
                notify = self._waiting.popleft()
            notify()

    def on_next(self, value: tuple[int, T]) -> None:
        """Take a value."""
        self._in_order(partial(self._hand_on, value))

    def on_error(self, error: Exception) -> None:
        """Take the end."""
        self._in_order(partial(self._observer.on_error, error))

    def on_completed(self) -> None:
        """Take the end."""
        self._in_order(self._observer.on_completed)

    def _in_order(self, notify: Callable[[], object]) -> None:
        with _lock:
            if self._waiting is not None:
                self._waiting.append(notify)
                return
        notify()

    def _hand_on(self, numbered: tuple[int, T]) -> None:
        number, value = numbered
        if number > self._seen:
            self._seen = number
            self._observer.on_next(value)


class Outcome(HotObservable[T]):
    """One value at the end, for late subscribers too; from any thread, and on any event loop."""

    _value: T | None = None
    _shown: _EndWithValue[T] | None = None
    _waiting: tuple[Future[T], ...] = ()

    def __init__(self, on_raise: Callable[[Exception], object]) -> None:
        self._on_raise = on_raise

    @property
    def _broadcast(self) -> _EndWithValue[T]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What it says to observers, made for the first one."""
        with _lock:
            shown = self._shown
            if shown is None:
                shown = self._shown = _EndWithValue(self._on_raise)  # without `[T]`: that costs microseconds
            shown.value = self._value
        if shown.value is not None:
            shown.end()
        return shown

    def settle(self, value: T) -> None:
        """Emit the value and complete."""
        with _lock:
            self._value = value
            waiting, self._waiting = self._waiting, ()
            shown = self._shown
            if shown is not None:
                shown.value = value
        for future in waiting:
            set_result(future, value)
        if shown is not None:
            shown.end()

    def __await__(self) -> Generator[Any, None, T]:
        """Wait for the value, at a tenth of the memory that RxPY's way takes."""
        future: Future[T] = get_running_loop().create_future()
        with _lock:
            value = self._value
            if value is None:
                waiting = self._waiting
                self._waiting = (*(other for other in waiting if not other.done()), future) if waiting else (future,)
        if value is not None:
            future.set_result(value)
        return future.__await__()


class _EndWithValue(Broadcast[T]):
    """Its end is a value, and completion."""

    __slots__ = ("value",)

    def __init__(self, on_raise: Callable[[Exception], object]) -> None:
        super().__init__(on_raise)
        self.value: T | None = None

    def _end_of(self, observer: abc.ObserverBase[T]) -> None:
        try:
            observer.on_next(cast("T", self.value))
        finally:
            super()._end_of(observer)
