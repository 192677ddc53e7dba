"""The messages to the peer, as a Subject with a bounded buffer."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, Protocol, TypeVar

from reactivex import abc
from reactivex.subject import Subject

from rxws.broadcast import Broadcast, Hot
from rxws.closing import Close
from rxws.codecs import Codec
from rxws.errors import EncodeError
from rxws.options import Settings
from rxws.overflow import Full, Waiting, make_buffer
from rxws.threads import MAX_HANDED_OVER, LoopThread
from rxws.wire import Binary, Text

T = TypeVar("T")
_counting = Lock()


class Owner(Protocol):
    """What `outgoing` asks of its socket."""

    @property
    def congested(self) -> bool:
        """Whether the transport takes no more for now."""
        ...

    def wake(self) -> None:
        """Take note that a frame waits."""
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
        self._codec = codec
        self._owner = owner
        self._thread = thread
        self._policy = settings.overflow
        self._buffer = make_buffer(settings.overflow, settings.max_buffered)
        self._high_water = min(settings.high_water, settings.max_buffered)
        self._holding = False
        self._on_room: list[Callable[[], object]] = []
        self._broadcast = Broadcast[T](on_raise)

    def on_next(self, value: T | Close) -> None:
        """Send a message, or close with a `Close`."""
        if self._thread.here():
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

    def next_frame(self) -> Text | Binary | None:
        """Give the next frame to the wire."""
        item = self._buffer.pop()
        if item is None:
            return None
        if self._holding and self._buffer.weight <= self._high_water // 4:
            self._release()
        return item.frame

    def stop(self, error: Exception | None = None) -> None:
        """Take nothing more; what waits may still be taken."""
        self.is_stopped = True
        self._broadcast.end(error)
        self.dropped.end()

    def discard(self) -> list[Any]:
        """Give up what waits, and return the messages."""
        items = list(iter(self._buffer.pop, None))
        self._release()
        return [item.message for item in items]

    def _subscribe_core(
        self, observer: abc.ObserverBase[T], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        return self._broadcast.subscribe(observer)

    def _accept(self, value: Any) -> None:
        if self.is_stopped:
            return
        if isinstance(value, Close):
            self._owner.close(value)
            return
        try:
            item = Waiting(value, self._encode(value))
        except Exception as cause:
            error = EncodeError(value, str(cause))
            error.__cause__ = cause
            self._owner.report(error)
            return
        try:
            dropped = self._buffer.push(item, congested=self._owner.congested)
        except Full:
            self._owner.overflow()
            return
        except Exception as error:  # the key function of latest_by
            self._owner.report(error)
            return
        for loser in dropped:
            self._count_dropped()
            self.dropped.emit(loser.message)
        if any(loser is item for loser in dropped):
            return
        if not self._holding and self._buffer.weight > self._high_water:
            self._holding = True
            self._owner.hold()
        self._owner.wake()
        self._broadcast.emit(value)

    def _encode(self, value: Any) -> Text | Binary:
        data = self._codec.encode(value)
        if isinstance(data, str):
            return Text(data.encode())
        if isinstance(data, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
            return Binary(bytes(data))
        raise TypeError(f"{type(self._codec).__name__}.encode must return str or bytes, not {type(data).__name__}")

    def _fail(self, error: Exception) -> None:
        if not self.is_stopped:
            self.stop(error)
            self._owner.fail(error)

    def _refuse(self, value: Any) -> None:
        """Apply the policy to a message from a thread that has run ahead of the event loop."""
        if self._policy == "close":
            self._thread.hand_over(self._owner.overflow, limit=MAX_HANDED_OVER + 1)
        else:
            self._count_dropped()
            self._thread.hand_over(self.dropped.emit, value, limit=MAX_HANDED_OVER * 2)

    def _count_dropped(self) -> None:
        with _counting:
            self.dropped_count += 1

    def _release(self) -> None:
        if self._holding:
            self._holding = False
            self._owner.release()
        callbacks, self._on_room = self._on_room, []
        for callback in callbacks:
            callback()
