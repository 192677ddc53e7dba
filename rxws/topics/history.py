"""Emit the kept messages of a topic, then live ones: each once, in order, and without a gap in between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from reactivex import Observer, abc
from reactivex.disposable import CompositeDisposable, Disposable

from rxws.rx.foreign import call
from rxws.topics.engines.engine import Item, Last, Reader, Since
from rxws.topics.feed import Arrival, Feed
from rxws.topics.message import Gap, Position, Record

MAX_PENDING: Final = 1024
"""Live messages that wait while older ones are read. If more come, all of them are read, too, instead of waiting."""

BEGINNING: Final = Position(0, 0)
"""A position before all messages, so long ago that a `Gap` follows."""

T = TypeVar("T", Record, Arrival)


class Seam(Generic[T]):
    """Joins messages that are read and messages that come live, by their positions.

    Memory: `MAX_PENDING` live messages while older ones are read.
    """

    def __init__(
        self, emit: Callable[[T | Gap], object], read: Callable[[Last | Since, Seam[T]], abc.DisposableBase]
    ) -> None:
        self.cursor: Position | None = None
        """The position of the last message that was emitted, or after which to begin; `None` if not known."""
        self.floor = BEGINNING
        """Where to read on while `cursor` is `None`: the kept messages up to here were emitted."""
        self._emit = emit
        self._read = read
        self._pending: deque[T | Gap] | None = None
        self._again = False
        self._skips = False
        """Whether to skip what is being read: it does not follow the live messages, and is read again from there."""
        self._reading: abc.DisposableBase = Disposable()

    def begin(self, start: Last | Since) -> None:
        """Start to read kept messages. Live ones wait meanwhile."""
        if isinstance(start, Since):
            self.cursor = start.position
        self._start(start)

    def doubt(self) -> None:
        """Read on after the last message, since live messages may have been lost."""
        if self._pending is None:
            self._start(Since(self.cursor or self.floor))
        else:
            self._again = True

    def take(self, item: T | Gap) -> None:
        """Take a live message."""
        if self._pending is None:
            self._pass_on(item)
        elif len(self._pending) < MAX_PENDING:
            self._pending.append(item)
        else:
            self._pending.clear()
            self._again = True

    def batch(self, items: Sequence[T | Gap]) -> None:
        """Take some kept messages. Live ones with earlier positions go first."""
        for item in items:
            if self.cursor is None and not isinstance(item, Gap):
                self._pass_on_before(item.position)
            if not self._skips:
                self._pass_on(item)

    def caught_up(self) -> None:
        """Emit the live messages that wait, and go on live; or read again, if they became too many."""
        self.floor = self.cursor or self.floor
        if self._again:
            self._start(Since(self.floor))
            return
        while self._pending:
            self._pass_on(self._pending.popleft())
        self._pending = None

    def dispose(self) -> None:
        """Emit nothing more."""
        self._emit = _ignore
        self._reading.dispose()

    def _start(self, start: Last | Since) -> None:
        if self._pending is None:
            self._pending = deque()
        self._again = self._skips = False
        self._reading.dispose()
        self._reading = self._read(start, self)

    def _pass_on_before(self, position: Position) -> None:
        while self._pending and not isinstance(first := self._pending[0], Gap) and first.position < position:
            self._pending.popleft()
            if first.position.epoch == position.epoch:  # if not, a gap is before it, or it is read again
                self._pass_on(first)
        if self.cursor is not None and position.number > self.cursor.number + 1 and not self._waits(position):
            self._again = self._skips = True  # there may be more in between: a connection may have been lost

    def _waits(self, position: Position) -> bool:
        """Return whether the next live message has this position."""
        return bool(self._pending) and not isinstance(first := self._pending[0], Gap) and first.position == position

    def _pass_on(self, item: T | Gap) -> None:
        if isinstance(item, Gap):
            if item.anew:
                if self.cursor is not None and self.cursor.epoch > Position.parse(item.since).epoch:
                    return  # messages behind this gap were emitted already
                self.cursor = None
            self._emit(item)
        elif self.cursor is None or item.position > self.cursor:
            self.cursor = item.position
            self._emit(item)


def _ignore(item: object) -> None:
    """Take an item after the subscriber has left."""


def subscribe_with_history(
    observer: abc.ObserverBase[Arrival | Gap],
    feed: Feed,
    start: Last | Since,
    read: Callable[[str, Last | Since, Reader], abc.DisposableBase],
) -> abc.DisposableBase:
    """Emit kept messages, then live ones from the feed, each once. Errors of the observer are reported."""

    def emit(item: Arrival | Gap) -> None:
        call(feed.report, "a subscriber", observer.on_next, item)

    seam = Seam[Arrival](emit, lambda start, seam: read(feed.pattern, start, Decoding(feed, seam)))
    live = feed.subscribe(Observer(seam.take, observer.on_error, observer.on_completed))
    seam.begin(start)
    return CompositeDisposable(Disposable(seam.dispose), live)


class Decoding:
    """Decodes messages that are read, before the seam gets them."""

    def __init__(self, feed: Feed, seam: Seam[Arrival]) -> None:
        self.caught_up = seam.caught_up
        self._feed = feed
        self._seam = seam

    def batch(self, items: Sequence[Item]) -> None:
        """Decode messages, and pass them on."""
        for item in items:
            self._feed.hand_on(item, lambda arrival: self._seam.batch([arrival]))
