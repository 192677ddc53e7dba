"""The bounded buffer of `outgoing`, and what happens at its limit."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, Protocol, cast

from rxws.core.wire import Frame
from rxws.policies import LatestBy, Overflow, OverflowName
from rxws.rx.holds import Held, Holds

NONE: Final[list[Frame]] = []
NOBODY: Final = object()


class Full(Exception):
    """The buffer is full, and its policy is to close."""


class Buffer(Protocol):
    """A queue that weighs at most `limit` bytes, or `high_water` bytes and one message.

    A message is always taken while no more than `high_water` bytes wait, however heavy it is. So a producer that waits
    for room can send any message: a limit for slow peers should not limit the size of messages.
    """

    weight: int

    def __len__(self) -> int:
        """Count the messages."""
        ...

    def push(self, item: Frame, congested: bool, patient: bool = False) -> list[Frame] | None:
        """Append, and return what was dropped for it, or `None` if it was refused; raises `Full` unless `patient`."""
        ...

    def pop(self, limit: int) -> list[Frame]:
        """Take the first ones: they weigh `limit` at most, or are one."""
        ...

    def remove(self, unwanted: Callable[[Frame], bool]) -> list[Frame]:
        """Take out some; asks once about each."""
        ...


def make_buffer(overflow: Overflow, limit: int, high_water: int = 0) -> Buffer:
    """Make the buffer that a policy asks for."""
    if overflow == "latest":
        return ConflatingBuffer(limit, high_water)
    if isinstance(overflow, LatestBy):
        return ConflatingBuffer(limit, high_water, overflow.key)
    return QueueBuffer(limit, high_water, overflow)


class QueueBuffer:
    """First in, first out: `close`, `drop_oldest`, `drop_newest`."""

    __slots__ = ("_high_water", "_items", "_limit", "_overflow", "weight")

    def __init__(self, limit: int, high_water: int, overflow: OverflowName) -> None:
        self.weight = 0
        self._limit = limit
        self._high_water = high_water
        self._overflow = overflow
        self._items: deque[Frame] | tuple[()] = ()  # until there is something: an empty deque is large

    def __len__(self) -> int:
        return len(self._items)

    def push(self, item: Frame, congested: bool, patient: bool = False) -> list[Frame] | None:
        """Append; at the limit the policy decides who goes."""
        items = self._items
        if not isinstance(items, deque):
            items = self._items = deque[Frame]()
        weight = self.weight + item.weight
        if weight > self._limit and self.weight > self._high_water:
            return self._push_over_limit(items, item, patient)
        items.append(item)
        self.weight = weight
        return NONE

    def pop(self, limit: int) -> list[Frame]:
        """Take the oldest: they weigh `limit` at most, or are one."""
        items = self._items
        if not items:
            return []
        if len(items) > 1 and self.weight > limit:
            taken = [self._pop_oldest(items)]
            limit -= taken[0].weight
            while items and items[0].weight <= limit:
                taken.append(self._pop_oldest(items))
                limit -= taken[-1].weight
            return taken
        self.weight = 0
        if len(items) == 1:
            return [items.popleft()]
        taken = list(items)
        items.clear()
        return taken

    def remove(self, unwanted: Callable[[Frame], bool]) -> list[Frame]:
        """Take out some, wherever they are; each is asked about once, since the answer may change."""
        if not self._items:
            return []
        removed: list[Frame] = []
        kept = deque[Frame]()
        for item in self._items:
            (removed if unwanted(item) else kept).append(item)
        if removed:
            self._items = kept
            self.weight -= sum(item.weight for item in removed)
        return removed

    def _push_over_limit(self, items: deque[Frame], item: Frame, patient: bool) -> list[Frame] | None:
        if self._overflow == "drop_newest" or (self._overflow == "close" and patient):
            return None
        if self._overflow == "close":
            raise Full
        dropped: list[Frame] = []
        while items and self.weight + item.weight > self._limit:
            dropped.append(self._pop_oldest(items))
        items.append(item)
        self.weight += item.weight
        return dropped

    def _pop_oldest(self, items: deque[Frame]) -> Frame:
        item = items.popleft()
        self.weight -= item.weight
        return item


Entries = deque[tuple[Hashable, Frame]]
NO_ENTRIES: Final = Entries()
"""Stands for the queue of a buffer until there is something: an empty deque is large."""


class ConflatingBuffer:
    """Keeps, while the wire is congested, the newest message of each key: `latest`, `latest_by`.

    Messages that come while the wire is not congested queue up. If they still wait when it becomes congested, or after
    that, they are conflated, too: of each key only the newest message stays, in the place of the first one.
    """

    __slots__ = ("_by_key", "_high_water", "_limit", "_queue", "key_of", "known", "weight")

    def __init__(self, limit: int, high_water: int, key: Callable[[Any], Hashable] | None = None) -> None:
        """Begin; without a function of the messages, all have the same key."""
        self.weight = 0
        self._limit = limit
        self._high_water = high_water
        self.key_of = key
        self.known: tuple[Frame | None, Hashable] = None, None
        """The frame that is pushed next, and its key, if the caller knows that: the key function is called once."""
        self._by_key: OrderedDict[Hashable, Frame] = OrderedDict()
        self._queue = NO_ENTRIES  # behind those

    def __len__(self) -> int:
        return len(self._by_key) + len(self._queue)

    def push(self, item: Frame, congested: bool, patient: bool = False) -> list[Frame]:
        """Append, or take the place of what waits under the same key; at the limit the oldest goes."""
        (known, key), queue, dropped = self.known, self._queue, NONE
        if self.key_of is not None and known is not item:
            hash(key := self.key_of(item.message))  # which raises for what is not a key
        self.known = None, None
        self.weight += item.weight
        if congested and not queue:
            by_key = self._by_key
            before, by_key[key] = by_key.get(key), item
            if before is not None:
                self.weight -= before.weight
                dropped = [before]
        else:
            if queue is NO_ENTRIES:
                queue = self._queue = Entries()
            queue.append((key, item))
            if congested:
                dropped = self.conflate()
        if self.weight > self._limit and self.weight - item.weight > self._high_water:
            dropped = [*dropped, *self._drop_oldest(item)]
        return dropped

    def pop(self, limit: int) -> list[Frame]:
        """Take the oldest: they weigh `limit` at most, or are one."""
        by_key, queue = self._by_key, self._queue
        taken: list[Frame] = []
        if self.weight <= limit:
            taken += by_key.values()
            taken += [item for _, item in queue]
            by_key.clear()
            queue.clear()
            self.weight = 0
        while (by_key or queue) and not (taken and self._oldest().weight > limit):
            item = by_key.popitem(last=False)[1] if by_key else queue.popleft()[1]
            taken.append(item)
            limit -= item.weight
            self.weight -= item.weight
        return taken

    def conflate(self) -> list[Frame]:
        """Have the queue conflated, and return what was dropped."""
        by_key, queue, dropped = self._by_key, self._queue, list[Frame]()
        while queue:
            key, item = queue.popleft()
            before = by_key.get(key)
            by_key[key] = item
            if before is not None:
                dropped.append(before)
                self.weight -= before.weight
        return dropped

    def remove(self, unwanted: Callable[[Frame], bool]) -> list[Frame]:
        """Take out some, wherever they are; each is asked about once, since the answer may change."""
        removed = [(key, item) for key, item in self._by_key.items() if unwanted(item)]
        for key, _ in removed:
            del self._by_key[key]
        for _ in range(len(self._queue)):
            entry = self._queue.popleft()
            (removed if unwanted(entry[1]) else self._queue).append(entry)
        self.weight -= sum(item.weight for _, item in removed)
        return [item for _, item in removed]

    def _oldest(self) -> Frame:
        return next(iter(self._by_key.values())) if self._by_key else self._queue[0][1]

    def _drop_oldest(self, newest: Frame) -> list[Frame]:
        """Drop the oldest until the limit is kept. The newest stays, though its key may have the first place."""
        by_key, dropped = self._by_key, list[Frame]()
        while self.weight > self._limit and len(self) > 1:
            oldest = next((entry for entry in by_key.items() if entry[1] is not newest), None)
            item = self._queue.popleft()[1] if oldest is None else by_key.pop(oldest[0])
            dropped.append(item)
            self.weight -= item.weight
        return dropped


class HighWater:
    """Holds the sources of a buffer when more than `high_water` bytes wait in it, until a quarter of that is left."""

    __slots__ = ("_buffer", "_callbacks", "_holds", "_last", "_mark", "holding")

    def __init__(self, buffer: Buffer, high_water: int) -> None:
        self.holding = False
        """Whether those who fill the buffer are to wait."""
        self._buffer = buffer
        self._mark = high_water
        self._holds = Holds()
        self._last: object = NOBODY  # the source of the item for which `hold` was called last
        self._callbacks: tuple[Callable[[], object], ...] = ()

    def when(self, callback: Callable[[], object]) -> None:
        """Call back once when there is room again, at once if there is."""
        if self.holding:
            self._callbacks = (*self._callbacks, callback)
        else:
            callback()

    def forget(self, callback: Callable[[], object]) -> None:
        """Do not call back."""
        self._callbacks = tuple(other for other in self._callbacks if other is not callback)

    def holds_for(self, source: object) -> bool:
        """Whether `hold` was called already for what comes from this source: it need not be called again."""
        return self.holding and source is self._last

    def hold(self, item_source: object, sources: Iterable[Held]) -> None:
        """Hold sources until there is room, or until it turns out that others get their items, too."""
        for source in sources:
            if self._holds.hold(source):
                source.when_shared(self.end_holds)
        self.holding, self._last = True, item_source  # last: in another thread, there may be room by now

    def end_holds(self) -> None:
        """Release all held sources, whether or not there is room."""
        self._last = NOBODY
        for source in self._holds.release():
            cast("Held", source).forget(self.end_holds)

    def look(self, more: int = 0) -> None:
        """Call `release` if there is room again; `more` bytes are on their way from other threads."""
        if self._buffer.weight + more <= self._mark // 4:
            self.release()

    def release(self) -> None:
        """Record that there is room: release all sources, and call back."""
        self.holding = False
        self.end_waits()

    def end_waits(self) -> None:
        """Release all held sources and call back, whether or not there is room. New sources may be held right away."""
        self.end_holds()
        callbacks, self._callbacks = self._callbacks, ()
        for callback in callbacks:
            callback()
