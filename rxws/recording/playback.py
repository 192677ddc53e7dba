"""A recording as an Observable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final, overload

from reactivex import Observable, abc
from reactivex.disposable import Disposable, SerialDisposable, SingleAssignmentDisposable
from reactivex.scheduler import TimeoutScheduler
from reactivex.scheduler.eventloop import AsyncIOScheduler

from rxws.checks import number
from rxws.recording.event import Event, Recording
from rxws.rx.scheduler import loop_scheduler

EVENTS_A_TURN: Final = 64
"""Events that are due at once, after which the scheduler's other business gets its turn."""

MAX_WAIT: Final = 86_400.0
"""Seconds of one wait at most: schedulers cannot wait for longer and longer, and a `timedelta` has a limit."""


@overload
def replay(recording: Recording, *, speed: float = 1.0) -> Observable[Event]: ...
@overload
def replay(recording: Recording, lane: str, *, speed: float = 1.0) -> Observable[Any]: ...
def replay(recording: Recording, lane: str | None = None, *, speed: float = 1.0) -> Observable[Any]:
    """Make an Observable of a recording: each subscription plays it from the start, at its own pace.

    Emits the events, `speed` times as fast as they came: 1 is real time, `float("inf")` as fast as it goes. With a
    `lane`, emits the items of that one, and ends as it did: completes, or fails with a `RecordedError`. It completes
    where the recording ends, and fails with `ValueError` where the file cannot be read.

    Times are those of the scheduler given to `subscribe`: the event loop's by default where one runs, so virtual
    ones in tests; a `VirtualTimeScheduler` works too. Memory: one event. Raises `TypeError` or `ValueError` if `speed`
    is not a positive number.

    Args:
        recording: The recording.
        lane: The lane to emit the items of; `None`: the events of all.
        speed: How many times as fast as it was.

    >>> from reactivex import operators as ops
    >>> recording = Recording([Event(0.0, "a", "next", 1), Event(3600.0, "a", "next", 2)])
    >>> replay(recording, "a", speed=float("inf")).pipe(ops.to_list()).run()
    [1, 2]
    """
    check_speed(speed)

    def subscribe(observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
        player = _Player(recording, speed, _clocked(scheduler), _emitter(lane, observer), observer)
        player.go_on()
        return Disposable(player.stop)

    return Observable(subscribe)


def check_speed(speed: object) -> float:
    """Return a speed; raises `TypeError` or `ValueError` for what is not one."""
    return number("speed", speed, "a positive number, or inf", lambda speed: speed > 0)


class _Player:
    """One subscription."""

    def __init__(
        self,
        recording: Recording,
        speed: float,
        scheduler: abc.SchedulerBase,
        emit: Callable[[Event], bool],
        observer: abc.ObserverBase[Any],
    ) -> None:
        self._events: Iterator[Event] = iter(recording)
        self._speed = speed
        self._scheduler = scheduler
        self._emit = emit
        self._observer = observer
        self._start: datetime = scheduler.now
        self._timer = SerialDisposable()
        self._next: Event | None = None
        self.stopped = False

    def go_on(self, *_: Any) -> None:
        """Emit what is due, and come again when the next one is."""
        for _turn in range(EVENTS_A_TURN):
            if self.stopped or not self._has_next():
                return
            assert self._next is not None
            elapsed = (self._scheduler.now - self._start).total_seconds()
            wait = timedelta(seconds=min(self._next.time / self._speed - elapsed, MAX_WAIT))
            if wait > timedelta(0):
                self._come_again(wait)
                return
            event, self._next = self._next, None
            if not self._emit(event):
                self.stop()
                return
        self._come_again(timedelta(0))

    def stop(self) -> None:
        """End without a notification."""
        self.stopped = True
        self._timer.dispose()

    def _come_again(self, wait: timedelta) -> None:
        timer = SingleAssignmentDisposable()
        self._timer.disposable = timer  # before it may fire, in another thread
        timer.disposable = self._scheduler.schedule_relative(wait, self.go_on)

    def _has_next(self) -> bool:
        try:
            self._next = self._next or next(self._events, None)
        except (ValueError, OSError) as error:
            self.stop()
            self._observer.on_error(error)
            return False
        if self._next is None:
            self.stop()
            self._observer.on_completed()
        return self._next is not None


def _emitter(lane: str | None, observer: abc.ObserverBase[Any]) -> Callable[[Event], bool]:
    """Make what gives an event to an observer, and tells whether more may follow."""

    def whole(event: Event) -> bool:
        observer.on_next(event)
        return True

    def item(event: Event) -> bool:
        if event.lane != lane:
            return True
        match event.kind:
            case "completed":
                observer.on_completed()
            case "error":
                observer.on_error(event.data)
            case "next":
                observer.on_next(event.data)
            case _:
                pass
        return event.kind not in ("completed", "error")

    return whole if lane is None else item


def _clocked(scheduler: abc.SchedulerBase | None) -> abc.SchedulerBase:
    """Choose a scheduler: on an event loop one that goes by its clock, also where `await` gives another."""
    if scheduler is not None and not isinstance(scheduler, AsyncIOScheduler):
        return scheduler
    return loop_scheduler() or scheduler or TimeoutScheduler.singleton()
