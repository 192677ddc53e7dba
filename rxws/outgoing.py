"""The messages to the peer, as a Subject with a bounded buffer."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, get_ident
from typing import Any, Protocol, TypeVar

from reactivex import abc
from reactivex.subject import Subject

from rxws.broadcast import Broadcast, Hot
from rxws.closing import Close
from rxws.codecs import Codec
from rxws.encoding import encode
from rxws.errors import EncodeError
from rxws.keeping import Keeping
from rxws.options import Settings
from rxws.overflow import Full, make_buffer
from rxws.threads import MAX_HANDED_OVER, LoopThread
from rxws.wire import Binary, Frame, Limited, Text

T = TypeVar("T")
_counting = Lock()


class Owner(Protocol):
    """What `outgoing` asks of its socket."""

    @property
    def congested(self) -> bool:
        """Whether the transport takes no more for now."""
        ...

    def hold(self) -> None:
        """Hold reading."""
        ...

    def release(self) -> None:
        """End that hold."""
        ...

    def report(self, error: Exception) -> None:
        """Take an error that the socket may survive."""
        ...

    def fail(self, error: Exception) -> None:
        """Take an error that it does not."""
        ...

    def close(self, close: Close) -> None:
        """Close."""
        ...

    def overflow(self) -> None:
        """Close, since the buffer is full."""
        ...


class Outgoing(Subject[T]):
    """Takes messages for the peer; subscribing to it shows what is sent.

    `on_next` never blocks and never raises for a bad value: that is an `EncodeError` on `errors`, and is
    skipped. A `Close` ends the socket when what was queued before it has been sent; so do `on_completed` (1000)
    and `on_error` (1011). After the close, calls do nothing. Takes calls from any thread; the order of each
    thread is kept.

    Memory: what waits weighs at most `max_buffered` bytes, or is one message that is heavier alone; at the limit
    `overflow` rules. From other threads, at most 16,384 calls wait for the event loop; beyond, `overflow` rules.
    While a client is offline, its policy for that rules before; at the limit the newest are then dropped.
    """

    def __init__(
        self,
        owner: Owner,
        thread: LoopThread,
        settings: Settings,
        codec: Codec[Any, Any],
        on_raise: Callable[[Exception], object],
    ) -> None:
        super().__init__()
        self.dropped = Hot[Any](on_raise)
        self.dropped_count = 0
        self.codec = codec
        self.wake: Callable[[], object] | None = None
        """Tells the present connection, if there is one, that a frame waits."""
        self.offline = False
        """Whether there is no connection, and another one will come."""
        self._conflates = not isinstance(settings.overflow, str) or settings.overflow == "latest"
        self._owner = owner
        self._thread = thread
        self._policy = settings.overflow
        self._buffer = make_buffer(settings.overflow, settings.max_buffered)
        self._pop = self._buffer.pop
        self._keeping = Keeping(settings.offline, self._buffer, settings.max_buffered, thread.loop, self._drop)
        self._high_water = min(settings.high_water, settings.max_buffered)
        self._holding = False
        self._on_room: list[Callable[[], object]] = []
        self._broadcast = Broadcast[T](on_raise)

    def on_next(self, value: T | Close) -> None:
        """Send a message, or close with a `Close`."""
        if get_ident() == self._thread.ident:
            self._accept(value)
        elif not self._thread.hand_over(self._accept, value, limit=MAX_HANDED_OVER):
            self._refuse(value)

    def on_error(self, error: Exception) -> None:
        """Close with the error's code: 1011 unless it is a `Close` or has a `close_code` of its own."""
        self._thread.run(self._fail, error)

    def on_completed(self) -> None:
        """Send what is queued, then close with 1000."""
        self._thread.run(self._owner.close, Close())

    def dispose(self) -> None:
        """Send what is queued, then close with 1000."""
        self.on_completed()

    @property
    def buffered(self) -> tuple[int, int]:
        """The messages that wait, and their weight in bytes."""
        return len(self._buffer), self._buffer.weight

    @property
    def has_room(self) -> bool:
        """Whether less waits than the high-water mark, or the socket takes nothing more anyway."""
        return not self._holding

    def when_room(self, callback: Callable[[], object]) -> None:
        """Call back once when there is room again."""
        self._on_room.append(callback)

    def next_item(self) -> Frame | None:
        """Give up the next message."""
        item = self._pop()
        while item is not None and item.expires is not None and self._keeping.has_expired(item):
            self._drop(item)
            item = self._pop()
        if self._holding:
            self._look_for_room()
        return item

    def stop(self, error: Exception | None = None) -> None:
        """Take nothing more; what waits may still be taken."""
        self.is_stopped = True
        self._broadcast.end(error)

    def discard(self) -> list[Frame]:
        """Give up what waits."""
        items = list(iter(self._buffer.pop, None))
        self._release()
        return items

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._broadcast.subscribe(observer)

    def watch(self, observer: abc.ObserverBase[T]) -> abc.DisposableBase:
        """Let somebody see, before the others, what is sent."""
        return self._broadcast.subscribe(observer, first=True)

    def send_on(self, connection: object, value: Any) -> None:
        """Send a message on this connection or not at all."""
        self._accept(value, connection)

    def connected(self, codec: Codec[Any, Any], wake: Callable[[], object]) -> None:
        """Take note of a new connection; what was for the one before alone is forgotten."""
        before, self.codec, self.wake, self.offline = self.codec, codec, wake, False
        self._buffer.remove(lambda item: item.connection is not None)
        self._keeping.forget()
        if codec is not before:
            self._encode_again()

    def disconnected(self, connection: object) -> None:
        """Forget what was for this connection alone; another one will come."""
        self.wake, self.offline = None, True
        self._buffer.remove(lambda item: item.connection is connection)
        self._look_for_room()
        self._keeping.forget()

    def encode(self, value: Any) -> Text | Binary:
        """Make a frame of a message, one for all that are sent the very same; raises `EncodeError`."""
        return encode(self.codec, value)

    def _accept(self, value: Any, connection: object | None = None) -> None:
        if self.is_stopped:
            return
        if isinstance(value, Close):
            self._owner.close(value)
            return
        try:
            item: Frame | None = encode(self.codec, value)
            if connection is not None:
                item = Limited(item, connection=connection)
            elif self.offline and (item := self._keeping.keep(item)) is None:
                return
            congested = self._conflates and self._owner.congested
            dropped = self._buffer.push(item, congested=congested, patient=self.offline)
        except Full as full:
            self._drop(full.item)
            self._owner.overflow()
            return
        except Exception as error:  # of the codec, the key function of latest_by, the offline policy
            self._owner.report(error)
            return
        if dropped is None:
            self._drop(item)
            return
        for loser in dropped:
            self._drop(loser)
        if self._buffer.weight > self._high_water and not self._holding:
            self._holding = True
            self._owner.hold()
        if self.wake is not None:
            self.wake()
        if self._broadcast.observers:
            self._broadcast.emit(value)

    def _encode_again(self) -> None:
        """Encode what waits with the codec that was negotiated now."""
        for item in list(iter(self._pop, None)):
            try:
                again = Limited(self.encode(item.message), expires=item.expires)
            except EncodeError as error:
                self._owner.report(error)
            else:
                self._buffer.push(again, congested=False, patient=True)

    def _drop(self, item: Frame) -> None:
        self._count_dropped()
        self.dropped.emit(item.message)

    def _fail(self, error: Exception) -> None:
        if not self.is_stopped:
            self.stop(error)
            self._owner.fail(error)

    def _refuse(self, value: Any) -> None:
        """Apply the policy to a message from a thread that has run ahead of the event loop."""
        self._count_dropped()
        if self._policy == "close":
            self._thread.hand_over(self._owner.overflow, limit=MAX_HANDED_OVER + 1)
        else:
            self._thread.hand_over(self.dropped.emit, value, limit=MAX_HANDED_OVER * 2)

    def _count_dropped(self) -> None:
        with _counting:
            self.dropped_count += 1

    def _look_for_room(self) -> None:
        if self._buffer.weight <= self._high_water // 4:
            self._release()

    def _release(self) -> None:
        if self._holding:
            self._holding = False
            self._owner.release()
        callbacks, self._on_room = self._on_room, []
        for callback in callbacks:
            callback()
