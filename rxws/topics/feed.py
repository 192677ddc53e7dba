"""One subscription for each topic in this process, shared by all its subscribers here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reactivex import abc

from rxws.codecs import Codec
from rxws.core.encoding import is_pure, sharing
from rxws.core.wire import Binary, Text
from rxws.errors import DecodeError, raise_fatal
from rxws.rx.broadcast import Broadcast
from rxws.rx.foreign import described
from rxws.rx.holds import notify_from
from rxws.topics.engines.engine import Item
from rxws.topics.message import Gap, Message, Position, Record


class Arrival:
    """A message from the engine, decoded once for all its subscribers. Raises `DecodeError`."""

    __slots__ = ("_message", "frame", "position", "topic", "value")

    def __init__(self, codec: Codec[Any, Any], record: Record) -> None:
        try:
            self.value: Any = codec.decode(record.data if record.is_binary else record.data.decode())
        except BaseException as cause:
            raise_fatal(cause)
            raise DecodeError(record.data, described(cause, str)) from cause
        self.topic = record.topic
        self.position: Position = record.position
        self.frame: Text | Binary = record.frame(self.value)
        self._message: Message[Any] | None = None

    @property
    def message(self) -> Message[Any]:
        """The message as `topic.messages` emits it; made at the first use."""
        if self._message is None:
            self._message = Message(self.topic, str(self.position), self.value)
        return self._message


class Feed:
    """Emits the messages of a topic or pattern to all its subscribers in this process; it is what the engine follows.

    If the codec is pure, all sockets send the same frame. Memory: an entry for each subscriber.
    """

    def __init__(self, pattern: str, codec: Codec[Any, Any], report: Callable[[Exception], object]) -> None:
        self.pattern = pattern
        self.report = report
        self._codec = codec
        self._broadcast = Broadcast[Arrival | Gap](report)

    @property
    def is_deserted(self) -> bool:
        """Whether it has no subscribers."""
        return not self._broadcast.observers

    def subscribe(self, observer: abc.ObserverBase[Arrival | Gap]) -> abc.DisposableBase:
        """Emit what comes from now on to this observer, too."""
        return self._broadcast.subscribe(observer)

    def take(self, item: Item) -> None:
        """Emit an item from the engine to all subscribers."""
        self.hand_on(item, self._broadcast.emit)

    def hand_on(self, item: Item, emit: Callable[[Arrival | Gap], object]) -> None:
        """Decode an item and emit it. It has no source, so that a busy subscriber does not hold the publisher."""
        notify_from(None, self._hand_on, item, emit)

    def _hand_on(self, item: Item, emit: Callable[[Arrival | Gap], object]) -> None:
        if isinstance(item, Gap):
            self.report(item)
            emit(item)
            return
        try:
            arrival = Arrival(self._codec, item)
        except DecodeError as error:
            self.report(error)
        else:
            with sharing(arrival.value, self._codec if is_pure(self._codec) else None, arrival.frame):
                emit(arrival)

    def end(self) -> None:
        """Complete for all subscribers."""
        self._broadcast.end()
