"""The engine of one process: a bounded buffer, without a task."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from reactivex import abc
from reactivex.disposable import Disposable

from rxws import processes
from rxws.core.log import log_line
from rxws.core.wire import MESSAGE_WEIGHT, Binary, Text
from rxws.rx.broadcast import Broadcast, Subscriber
from rxws.rx.loop_thread import MAX_HANDED_OVER
from rxws.topics.engines.engine import Following, Item, Last, Limits, Reader, Since
from rxws.topics.message import Gap, Position, Record, Unpublished
from rxws.topics.names import is_pattern, matcher

logger = logging.getLogger("rxws")

TOPIC_WEIGHT: Final = 1024
"""Bytes that a topic counts if it keeps any message: strangers may choose many names."""


class _Kept(NamedTuple):
    record: Record
    expires: float

    @property
    def weight(self) -> int:
        return len(self.record.data) + MESSAGE_WEIGHT


class Notifications(Broadcast[Record | Callable[[], object]]):
    """Messages, and calls of a reader, in order: each goes out when all have had the one before."""

    __slots__ = ()
    max_fed = MAX_HANDED_OVER

    @property
    def is_busy(self) -> bool:
        """Whether one of them is being passed on."""
        return self._busy


class MemoryEngine:
    """Keeps the last messages of this process's topics, and passes new ones on at once, in the publisher's call.

    Memory: at most `limits.size` bytes of kept messages, including 64 for each message and 1,024 for each topic, or one
    message; and 16,384 messages that subscribers publish while one is being passed on.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._epoch = 0
        self._published = 0
        self._weight = 0
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._by_topic: dict[str, deque[int]] = {}
        self._discarded: dict[str, int] = {}
        """For each topic that still keeps messages, the number of the newest one that was discarded."""
        self._forgotten = 0
        """The number of the newest one that was discarded of all other topics."""
        self._exact: dict[str, Following] = {}
        self._patterns: dict[Following, Callable[[str], object]] = {}
        self._report: Callable[[Exception], object] = lambda error: None
        self._notifications = Notifications(lambda error: self._report(error))
        self._notifications.subscribe(Subscriber(self._notifications, self._notify, None, None))

    @property
    def is_up(self) -> bool:
        """True: there is no broker."""
        return True

    def start(self, report: Callable[[Exception], object]) -> None:
        """Begin."""
        self._report = report
        self._epoch = time.time_ns()  # not in `__init__`: processes that were forked must not share positions
        if processes.count > 1:
            message = "memory:// reaches only this process, one of %d: use topics over NATS for all"
            log_line(logger, logging.WARNING, message, processes.count)

    async def confirmed(self) -> None:
        """Return at once: all messages are kept."""

    async def close(self) -> None:
        """End."""

    def publish(self, topic: str, frame: Text | Binary) -> None:
        """Keep a message, and pass it on."""
        if frame.weight > self._limits.size:
            why = f"it exceeds the limit for kept messages, {self._limits.size} bytes"
            self._report(Unpublished(topic, frame.message, why))
            return
        self._published += 1
        record = Record(topic, Position(self._epoch, self._published), frame.data, isinstance(frame, Binary))
        self._keep(record)
        self._notifications.emit(record)

    def follow(self, following: Following) -> None:
        """Pass on the messages that are published from now on."""
        if is_pattern(following.pattern):
            self._patterns[following] = matcher(following.pattern)
        else:
            self._exact[following.pattern] = following

    def unfollow(self, following: Following) -> None:
        """Pass on no more messages."""
        self._patterns.pop(following, None)
        self._exact.pop(following.pattern, None)

    def read(self, pattern: str, start: Last | Since, reader: Reader) -> abc.DisposableBase:
        """Give the reader the kept messages now. Messages that it publishes meanwhile follow, like live ones."""
        batches = [partial(reader.batch, [item]) for item in self._find(pattern, start)]
        for call in (*batches, reader.caught_up):
            if self._notifications.is_busy:
                call()
            else:
                self._notifications.emit(call)
        return Disposable()

    def _find(self, pattern: str, start: Last | Since) -> list[Item]:
        self._expire()
        topics = [pattern] if pattern in self._by_topic else list(filter(matcher(pattern), self._by_topic))
        numbers = sorted(number for topic in topics for number in self._by_topic[topic])
        records = [self._kept[number].record for number in numbers]
        if isinstance(start, Last):
            return [*records[-start.count :]]
        since = start.position
        if since is None:
            return [*records]
        if since.epoch != self._epoch or since.number > self._published:
            return [Gap(pattern, str(since), "the process has restarted since", anew=True), *records]
        following = [record for record in records if record.position > since]
        if since.number < self._last_discarded(topics):
            return [Gap(pattern, str(since), "they are no longer kept"), *following]
        return [*following]

    def _notify(self, what: Record | Callable[[], object]) -> None:
        if isinstance(what, Record):
            self._hand_on(what)
        else:
            what()

    def _hand_on(self, record: Record) -> None:
        topic = record.topic
        followings = [following for following, matches in self._patterns.items() if matches(topic)]
        if topic in self._exact:
            followings.append(self._exact[topic])
        for following in followings:
            following.take(record)

    def _last_discarded(self, topics: list[str]) -> int:
        return max(self._forgotten, *(self._discarded.get(topic, 0) for topic in topics), 0)

    def _keep(self, record: Record) -> None:
        kept = _Kept(record, float("inf") if self._limits.age is None else self._clock() + self._limits.age)
        self._kept[record.position.number] = kept
        self._weight += kept.weight
        numbers = self._by_topic.get(record.topic)
        if numbers is None:
            numbers = self._by_topic[record.topic] = deque()
            self._weight += TOPIC_WEIGHT
        numbers.append(record.position.number)
        if len(numbers) > self._limits.count:
            self._discard(numbers[0])
        while self._weight > self._limits.size and len(self._kept) > 1:
            self._discard(next(iter(self._kept)))
        self._expire()

    def _expire(self) -> None:
        now = self._clock()
        while self._kept and (oldest := next(iter(self._kept.values()))).expires <= now:
            self._discard(oldest.record.position.number)

    def _discard(self, number: int) -> None:
        kept = self._kept.pop(number)
        self._weight -= kept.weight
        topic = kept.record.topic
        numbers = self._by_topic[topic]
        numbers.popleft()
        if numbers:
            self._discarded[topic] = number
        else:
            del self._by_topic[topic]
            self._weight -= TOPIC_WEIGHT
            self._discarded.pop(topic, None)
            self._forgotten = max(self._forgotten, number)
