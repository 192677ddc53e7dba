"""What was kept of a topic, then what is live: each message once, in order, and nothing in between is lost."""

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
"""Live messages that wait while older ones are read; beyond, reading goes on for those too."""

BEGINNING: Final = Position(0, 0)
"""Before all messages, and so long ago that there is a gap."""


T = TypeVar("T", Record, Arrival)


class Seam(Generic[T]):
    """Emits what is read and what comes live, by their positions."""

    def __init__(
        self, emit: Callable[[T | Gap], object], read: Callable[[Last | Since, Seam[T]], abc.DisposableBase]
    ) -> None:
        self.cursor: Position | None = None
        """The position of the last message emitted, or the one to read on from."""
        self.floor = BEGINNING
        """Where to read on from while there is none; what was kept up to here has been emitted."""
        self._emit = emit
        self._read = read
        self._pending: deque[T | Gap] | None = None
        self._again = False
        self._skips = False
        """Whether what is being read does not follow what came live: it is read again, from there on."""
        self._reading: abc.DisposableBase = Disposable()

    def begin(self, start: Last | Since) -> None:
        """Read what is kept; what comes live meanwhile waits."""
        if isinstance(start, Since):
            self.cursor = start.position
        self._start(start)

    def doubt(self) -> None:
        """Record that live messages may have been lost: read what there is after the last one."""
        if self._pending is None:
            self._start(Since(self.cursor or self.floor))
        else:
            self._again = True

    def take(self, item: T | Gap) -> None:
        """Take a live one."""
        if self._pending is None:
            self._pass_on(item)
        elif len(self._pending) < MAX_PENDING:
            self._pending.append(item)
        else:
            self._pending.clear()
            self._again = True

    def batch(self, items: Sequence[T | Gap]) -> None:
        """Take some that were kept; live ones that came before the first of them go first."""
        for item in items:
            if self.cursor is None and not isinstance(item, Gap):
                self._pass_on_before(item.position)
            if not self._skips:
                self._pass_on(item)

    def caught_up(self) -> None:
        """Go on live."""
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
            if first.position.epoch == position.epoch:  # or it is behind the gap, or of the new epoch and read again
                self._pass_on(first)
        if self.cursor is not None and position.number > self.cursor.number + 1 and not self._waits(position):
            self._again = self._skips = True  # more may have been published between, while a connection was lost, say

    def _waits(self, position: Position) -> bool:
        """Whether that is the next live message."""
        return bool(self._pending) and not isinstance(first := self._pending[0], Gap) and first.position == position

    def _pass_on(self, item: T | Gap) -> None:
        if isinstance(item, Gap):
            if item.anew:
                if self.cursor is not None and self.cursor.epoch > Position.parse(item.since).epoch:
                    return  # what has been read is behind it already
                self.cursor = None
            self._emit(item)
        elif self.cursor is None or item.position > self.cursor:
            self.cursor = item.position
            self._emit(item)


def _ignore(item: object) -> None:
    """Take an item for one who has left."""


def subscribe_with_history(
    observer: abc.ObserverBase[Arrival | Gap],
    feed: Feed,
    start: Last | Since,
    read: Callable[[str, Last | Since, Reader], abc.DisposableBase],
) -> abc.DisposableBase:
    """Emit what is kept, then what the feed brings, each once; what the observer raises is reported."""

    def emit(item: Arrival | Gap) -> None:
        call(feed.report, "a subscriber", observer.on_next, item)

    seam = Seam[Arrival](emit, lambda start, seam: read(feed.pattern, start, Decoding(feed, seam)))
    live = feed.subscribe(Observer(seam.take, observer.on_error, observer.on_completed))
    seam.begin(start)
    return CompositeDisposable(Disposable(seam.dispose), live)


class Decoding:
    """Decodes what is read, and has it framed once, if it is sent as it is."""

    def __init__(self, feed: Feed, seam: Seam[Arrival]) -> None:
        self.caught_up = seam.caught_up
        self._feed = feed
        self._seam = seam

    def batch(self, items: Sequence[Item]) -> None:
        """Hand on."""
        for item in items:
            self._feed.hand_on(item, lambda arrival: self._seam.batch([arrival]))
