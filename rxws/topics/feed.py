"""One subscription a topic and process, shared by all its local subscribers."""

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
    """A message that has come, decoded: once for all who get it."""

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
        """The public face, made when it is asked for."""
        if self._message is None:
            self._message = Message(self.topic, str(self.position), self.value)
        return self._message


class Feed:
    """What a topic or a pattern brings, for all its subscribers in this process; framed once if the codec is pure."""

    def __init__(self, pattern: str, codec: Codec[Any, Any], report: Callable[[Exception], object]) -> None:
        self.pattern = pattern
        self.report = report
        self._codec = codec
        self._broadcast = Broadcast[Arrival | Gap](report)

    @property
    def is_deserted(self) -> bool:
        """Whether nobody is subscribed."""
        return not self._broadcast.observers

    def subscribe(self, observer: abc.ObserverBase[Arrival | Gap]) -> abc.DisposableBase:
        """Hand on what comes from now on."""
        return self._broadcast.subscribe(observer)

    def take(self, item: Item) -> None:
        """Hand on an item of the engine's to all."""
        self.hand_on(item, self._broadcast.emit)

    def hand_on(self, item: Item, emit: Callable[[Arrival | Gap], object]) -> None:
        """Decode an item and emit it, in nobody's name: a subscriber that is busy holds no publisher."""
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
        """Complete."""
        self._broadcast.end()
