"""A bounded buffer before a busy operator."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from threading import Lock, get_ident
from typing import Any, Generic, Literal, TypeVar, get_args

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxws.checks import function_of, one_of, positive_int
from rxws.errors import FATAL, FeedbackLoop, raise_fatal
from rxws.rx.broadcast import Broadcast
from rxws.rx.endings import how_it_ended, tell_ending
from rxws.rx.holds import Held, Holds, Source, Via, check_shared, notify_from, present_owner, source_before
from rxws.rx.loop_thread import LoopThread, running_loop, tell_loop

T = TypeVar("T")

BufferOverflow = Literal["fail", "drop_oldest", "drop_newest"]

Entry = tuple[Any, "Source | None", Context, bool]
"""An item that waits, its source and context, and whether it came of the emission of another one."""


def buffered(
    limit: int, *, overflow: BufferOverflow = "fail", dropped: Callable[[Any], object] | None = None
) -> Callable[[Observable[T]], Observable[T]]:
    """Keep up to `limit` items while an operator behind it is busy, `map_async` say.

    ::

        source     --abcd----------------|
                     buffered(2, overflow="drop_oldest"), map_async(f)
        result     ------A---C---D-------|      b is dropped while a is at work

    Emits at once while nothing behind it is busy. The socket whose item reaches the limit is held, so a socket that has
    this pipeline to itself loses nothing. Where sources share it, `overflow` decides about what others bring then. With
    "fail", other sockets are held, too, and for a source that cannot be held, the result fails with `OverflowError`.
    With "drop_oldest" and "drop_newest", the oldest or newest item is dropped, whatever it came from, and given to
    `dropped`. Completes when the source has completed and the buffer is empty. An error comes at once. A source that
    its own result feeds, 1,000 times at once or `limit` if that is more, fails with `FeedbackLoop`.

    Memory: `limit` items. With "fail", also one item of each socket that is held then.

    Items may come from any thread: the limit and the policy apply at once. The items are emitted in the event loop in
    which this was subscribed, or without one, in the thread that they come from. What a subscriber raises over an item
    that came from no socket is raised where the item comes, if it is emitted there at once. If it had to wait, it goes
    to asyncio's exception handler.

    Args:
        limit: Items that may wait.
        overflow: What happens beyond: `"fail"`, `"drop_oldest"` or `"drop_newest"`.
        dropped: A function that is given each item that is dropped.

    Raises `TypeError` or `ValueError` for a limit that is not a positive `int`, an unknown policy, or a `dropped` that
    is not a function.

    >>> import reactivex
    >>> reactivex.of(1, 2, 3).pipe(buffered(10)).run()
    3
    """
    positive_int("limit", limit, "items")
    one_of("overflow", overflow, get_args(BufferOverflow))
    if dropped is not None:
        function_of("an item", "dropped", dropped)

    def operate(source: Observable[T]) -> Observable[T]:
        def subscribe(observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None) -> abc.DisposableBase:
            buffer = _Buffer(observer, limit, overflow, dropped or (lambda item: None))
            buffer.upstream.add(source.subscribe(buffer.take, buffer.fail, buffer.complete, scheduler=scheduler))
            return Disposable(buffer.stop)

        return Observable(subscribe)

    return operate


class _Buffer(Held, Generic[T]):
    """One subscription; those behind it can hold it.

    The policy rules at once, in the thread that emits. One thread at a time emits what waits: that of the event
    loop in which this was subscribed, or without one, the thread that comes first.
    """

    def __init__(
        self, observer: abc.ObserverBase[T], limit: int, overflow: BufferOverflow, dropped: Callable[[Any], object]
    ) -> None:
        self.upstream = CompositeDisposable()
        self._observer = observer
        self._limit = limit
        self._overflow = overflow
        self._dropped = dropped
        self._items: deque[Entry] = deque()
        self._holds = Holds()
        self._held = 0
        loop = running_loop()
        self._thread = None if loop is None else LoopThread(loop)
        self._changing = Lock()
        self._emitter: int | None = None  # the thread that emits
        self._left = 0  # items that it may emit yet: what others bring meanwhile waits for the next turn
        self._fed = 0  # items that this turn has emitted of its own emissions
        self._completed = self.stopped = False
        self._how: Any = None  # how the source has completed
        self._looked = False  # whether it has been checked that no others share the source
        self.owner = present_owner()

    # Before it

    def take(self, item: T) -> None:
        source = source_before(self)
        if not self._looked:
            self._looked = True
            check_shared(source)
        here = self._thread is None or self._thread.here()
        fed = self._emitter is not None and self._emitter == get_ident()
        entry = item, source, copy_context(), fed
        if here and not (fed or self._items or self._held or self.stopped) and self._may_emit():
            if source is not None:
                source.take_in_hand()
            self._emit(entry, entry)
        elif not self._let_wait(entry):
            return
        elif here:
            if self._may_emit():
                self._emit(self._next(), entry)
        else:
            self._hold_if_full(source)  # before it may be emitted, and the hold end
            self._emit_soon()
            return
        if len(self._items) >= self._limit:
            self._hold_if_full(source)

    def complete(self) -> None:
        self._completed, self._how = True, how_it_ended()
        self._emit_soon()

    def fail(self, error: Exception) -> None:
        if self._thread is None:
            self._fail(error)
        else:
            self._thread.run_last(self._fail, error)

    def stop(self) -> None:
        """Forget everything, and let the sources go."""
        with self._changing:
            self.stopped = True
            items, self._items = self._items, deque()
        self.upstream.dispose()
        self._holds.release()
        for _, source, _, _ in items:
            _let_go(source)

    def _let_wait(self, entry: Entry) -> bool:
        """Keep an item if there is room; return whether it was kept."""
        source = entry[1]
        lost: Entry | None = None
        with self._changing:
            if self.stopped:
                return False
            if len(self._items) >= self._limit and not (self._overflow == "fail" and self._holds.hold(source)):
                lost = self._items.popleft() if self._overflow == "drop_oldest" else entry
            if lost is not entry:
                if source is not None:
                    source.take_in_hand()
                self._items.append(entry)
        if lost is None:
            return True
        if self._overflow == "fail":
            self.fail(OverflowError(f"{self._limit} items are buffered, and one more came"))
            return False
        if lost is not entry:
            _let_go(lost[1])
        self._dropped(lost[0])
        return lost is not entry

    def _hold_if_full(self, source: Source | None) -> None:
        with self._changing:
            if len(self._items) >= self._limit:
                self._holds.hold(source)

    # Behind it

    def _follow_holds(self) -> None:
        """Keep what comes while it is held, then emit it."""
        if not self._held:
            self._emit_soon()

    # At work

    def _emit_soon(self) -> None:
        if self._thread is None:
            self._emit_waiting()
        elif self._thread.loop.is_closed():
            self.stop()  # nobody will emit what waits
        else:
            self._thread.run_once(self._emit_waiting)

    def _emit_waiting(self) -> None:
        if self._may_emit():
            self._emit(self._next())

    def _may_emit(self) -> bool:
        """Become the thread that emits, unless another one is."""
        if self._thread is None:
            with self._changing:
                if self._emitter is not None:
                    return False
                self._emitter = get_ident()
        elif self._emitter is not None:
            return False
        else:
            self._emitter = get_ident()
        self._left, self._fed = len(self._items), 0
        return True

    def _emit(self, entry: Entry | None, own: Entry | None = None) -> None:
        """Emit an item, and what waits; raises what a subscriber raises over the caller's `own`."""
        source: Source | None = None
        raised: list[BaseException] | None = None
        while entry is not None:
            source = entry[1]
            try:
                self._hand_on(entry)
            except BaseException as error:
                try:
                    raise_fatal(error)
                except FATAL:
                    self._emitter = None
                    raise
                if self._thread is None or entry is own:
                    raised = [*(raised or ()), error]
                else:
                    tell_loop(self._thread.loop, "buffered", error)
            entry = self._next()
        if self._holds:
            self._look_for_room()
        if self._completed and not (self._items or self.stopped):
            self._completed = False
            notify_from(source, tell_ending, self._how, self._observer.on_completed)
        if raised is not None:
            raise raised[0] if len(raised) == 1 else BaseExceptionGroup("subscribers behind buffered raised", raised)

    def _next(self) -> Entry | None:
        """Give the next item to emit; if there is none for now, another thread may emit."""
        if self._thread is not None and not self._items:
            self._emitter = None
            return None
        with self._changing:
            if self._items and not self._held:
                fed = self._items[0][3]
                if self._thread is None or fed or self._left:  # what is left, its thread has called us for
                    self._left -= not fed
                    return self._items.popleft()
            self._emitter = None
            return None

    def _hand_on(self, entry: Entry) -> None:
        item, source, context, fed = entry
        try:
            self._fed += fed
            if self._fed > max(self._limit, Broadcast.max_fed):
                self._fail(FeedbackLoop(item, self._fed))
            else:
                context.run(notify_from, Via(self, source), self._observer.on_next, item)
        finally:
            _let_go(source)

    def _look_for_room(self) -> None:
        """Let the sources go if there is room."""
        free = Holds()
        with self._changing:
            if len(self._items) < self._limit:
                free, self._holds = self._holds, free
        free.release()

    def _fail(self, error: Exception) -> None:
        if not self.stopped:
            self.stop()
            self._observer.on_error(error)


def _let_go(source: Source | None) -> None:
    if source is not None:
        source.let_go()
