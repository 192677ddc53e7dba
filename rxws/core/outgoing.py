"""The messages to the peer, as a Subject with a bounded buffer."""

from __future__ import annotations

from asyncio import get_running_loop, sleep
from collections.abc import Callable, Hashable
from functools import partial
from threading import Lock
from typing import Any, TypeVar, cast

from reactivex import abc

from rxws.close import Close
from rxws.codecs import Codec
from rxws.core import encoding
from rxws.core.ahead import encode_ahead
from rxws.core.buffer import ConflatingBuffer, Full, HighWater, make_buffer
from rxws.core.encoding import AWAITED, encode, encode_again, encode_new, is_pure, with_copy
from rxws.core.offline import OfflineQueue
from rxws.core.owner import Owner
from rxws.core.wire import Binary, Frame, Limited, Ping, Text, Wire
from rxws.errors import ConnectionLost, EncodeError, parted, raise_fatal
from rxws.options import Settings
from rxws.policies import LatestBy
from rxws.rx.broadcast import Broadcast, Hot, HotSubject
from rxws.rx.endings import how_it_ended
from rxws.rx.foreign import as_error, call, call_all, without_frames
from rxws.rx.holds import Held, current_source, socket_of, source_of_work, sources_to_hold
from rxws.rx.loop_thread import LoopThread, running_loop, set_result
from rxws.stats import Counters

T = TypeVar("T")
_lock = Lock()
_blamed: tuple[object, object, object] = None, None, None
"""In this turn of the event loop: who has been blamed for a value, the value, and who has reported it."""


def _forget() -> None:
    global _blamed
    _blamed = None, None, None


class Outgoing(HotSubject[T]):
    """Takes messages for the peer; subscribing to it shows what is sent.

    `on_next` never blocks and never raises for a bad value: that is an `EncodeError` on `errors`, and is
    skipped. If it came from another socket, through a room, say, and that one could not send it either, it is an error
    on the `errors` of that one, once for all sockets that the value was for. A `Close` ends the socket when what was
    queued before it has been sent; so do `on_completed` (1000) and `on_error` (the error's `close_code`, else 1011).
    Completed because `incoming` of another socket has, it closes with the code and reason of that one. After the close,
    calls do nothing. Takes calls from any thread; the order of each thread is kept.

    Memory: what waits weighs at most `max_buffered` bytes, or one message more than `high_water`; at the limit
    `overflow` rules. While a client is offline, its policy for that rules before; at the limit the newest are then
    dropped. Of other threads, at most 16,384 messages wait for the event loop, of `max_buffered` bytes, or 4 MiB if
    that is more. Beyond, the newest are dropped, and the policy `close` closes a socket that is not offline. `dropped`
    emits as many as may wait; all are counted. What waits when the socket closes is sent or reported.
    """

    def __init__(
        self,
        owner: Owner,
        thread: LoopThread,
        settings: Settings,
        codec: Codec[Any, Any],
        counters: Counters,
        *,
        returns: bool,
    ) -> None:
        self._loop = thread.loop  # first what every message needs, so that it lies together in memory
        self._offer_at_once: Callable[[Frame], bool] | None = None  # `_offer`, unless a key or `_shown` is to see it
        self._offer_text: Callable[[str], int | None] | None = None  # the same for text
        self.codec = codec
        self._buffer = make_buffer(settings.overflow, settings.max_buffered, settings.high_water)
        self._counters = counters
        self.is_stopped = False
        self._offer: Callable[[Frame], bool] | None = None  # to the connection, past the buffer
        self._key_of: Callable[[Any], Hashable] | None = None  # its errors come even if nothing waits
        self._shown: Broadcast[T] | None = None  # made for the first subscriber
        self._dropped: Hot[Any] | None = None
        self._has_ended = False  # if `dropped` is made after this, it completes at once
        self._has_stopped: tuple[Exception | None] | None = None  # the error, or `None`, for late subscribers
        self.dropped_count = 0
        self._wire: Wire | None = None  # of the present connection
        self.offline = returns
        """Whether there is no connection, and another one will come."""
        self._conflates = settings.conflates
        self._owner = owner
        self._reports = owner.reports
        self._thread = thread
        self._policy = settings.overflow
        self._remakes = returns and settings.makes_codecs  # the codec, for each connection
        self._renegotiates = self._remakes or (returns and settings.protocol_codecs is not None)
        self._offline_queue: OfflineQueue | None = None
        if returns:
            self._offline_queue = OfflineQueue(
                settings.offline, self._buffer, settings.max_buffered, thread.loop, self._drop
            )
        self._mark = settings.high_water
        self._limit = settings.max_buffered
        self._holds: HighWater | None = None  # made when it is first needed

    def on_next(self, value: T | Close) -> None:
        """Send a message, or close with a `Close`."""
        last, item = encoding.last, None
        if value is last[0] and self.codec is last[1]:
            item = last[2]
        elif (
            type(value) is str
            and (offer_text := self._offer_text) is not None
            and not self._buffer.weight
            and (size := offer_text(value)) is not None
        ):
            counters = self._counters
            counters.sent += 1
            counters.sent_bytes += size
            return
        if running_loop() is not self._loop:
            self._send_from_thread(value)
            return
        if item is not None and (offer := self._offer_at_once) is not None and not self._buffer.weight:
            try:
                if offer(item):
                    counters = self._counters
                    counters.sent += 1
                    counters.sent_bytes += len(item.data)
                else:
                    self._let_wait(item)
            except BaseException as error:
                self._failed(error, value)
            return
        if self.is_stopped:
            return
        if item is None and type(value) is not str and isinstance(value, Close):
            self._owner.close(value)
            return
        try:
            if item is None:
                item = encode_new(self.codec, value)
            offer, key_of, key = self._offer, self._key_of, None
            if key_of is not None:
                key = key_of(item.message)
                if type(key) is not str:
                    hash(key)  # which raises for what is not a key
            if offer is not None and not self._buffer.weight and offer(item):
                counters = self._counters
                counters.sent += 1
                counters.sent_bytes += len(item.data)
            else:
                if key_of is not None:
                    cast("ConflatingBuffer", self._buffer).known = item, key
                if not self._let_wait(item):
                    return
        except BaseException as error:
            self._failed(error, value)
            return
        if self._shown is not None:
            self._shown.emit(cast("T", value))

    def on_error(self, error: Exception) -> None:
        """Close with the error's code: 1011 unless it is a `Close` or has a `close_code` of its own."""
        self._thread.run_last(self._fail, error)

    def on_completed(self) -> None:
        """Send what is queued, then close: with 1000, or as the socket did whose end this is."""
        self._thread.run_last(self._close, how_it_ended() or Close())

    def dispose(self) -> None:
        """Send what is queued, then close with 1000."""
        self.on_completed()

    @property
    def _broadcast(self) -> Broadcast[T]:  # pyright: ignore[reportIncompatibleVariableOverride]
        if self._shown is None:
            with _lock:
                self._shown = self._shown or Broadcast(self._reports)
                self._offer_at_once = self._offer_text = None
            if self._has_stopped is not None:
                self._shown.end(*self._has_stopped)
        return self._shown

    @property
    def _high_water(self) -> HighWater:
        if self._holds is None:
            with _lock:
                self._holds = self._holds or HighWater(self._buffer, self._mark)
        return self._holds

    @property
    def dropped(self) -> Hot[Any]:
        """The messages that the policies drop."""
        if self._dropped is None:
            with _lock:
                self._dropped = self._dropped or Hot(self._reports.report)
            if self._has_ended:
                self._dropped.end()
        return self._dropped

    def end_dropped(self) -> None:
        """Complete `dropped`."""
        self._has_ended = True
        if self._dropped is not None:
            self._dropped.end()

    @property
    def buffered(self) -> tuple[int, int]:
        """The messages that wait, and their weight in bytes."""
        return len(self._buffer), self._buffer.weight

    @property
    def waits(self) -> bool:
        """Whether any message waits."""
        return self._buffer.weight > 0

    @property
    def has_room(self) -> bool:
        """Whether less waits than the high-water mark, or the socket takes nothing more anyway."""
        return self._holds is None or not self._holds.holding

    async def room(self) -> None:
        """Wait until there is room; on any event loop.

        A caller that works for no source ends the holds first: it waits itself, so nobody needs to be held because of
        it. A task that answers messages of a connection that is lost does not wait, as long as its answers fit: the
        peer reads nothing anymore, and the end of the socket waits for those messages.
        """
        if not self.has_room and current_source.get() is None:
            self._thread.run(self._high_water.end_holds)
        while not self.has_room:
            owner = getattr(self, "_owner", None)
            if owner is not None and owner.is_lost and self._fits and socket_of(source_of_work()) is owner:
                await sleep(0)
                return
            free = get_running_loop().create_future()
            tell = partial(set_result, free, None)
            self._thread.run(self._high_water.when, tell)
            try:
                await free
            finally:
                self._thread.run(self._high_water.forget, tell)

    def next_items(self, limit: int) -> list[Frame]:
        """Give up the next messages: they weigh `limit` at most, or are one."""
        items = self._buffer.pop(limit)
        offline = self._offline_queue
        while items and offline is not None and offline.may_expire and not (items := offline.fresh(items)):
            items = self._buffer.pop(limit)
        counters = self._counters
        for item in items:
            counters.sent += 1
            counters.sent_bytes += len(item.data)
        if self._holds is not None and self._holds.holding:
            self._look()
        return items

    def conflate(self) -> None:
        """Keep the newest message of each key, if the policy is one that conflates."""
        if isinstance(self._buffer, ConflatingBuffer):
            for loser in self._buffer.conflate():
                self._drop(loser)
            self._look()

    def stop(self, error: Exception | None = None) -> None:
        """Take nothing more; what waits, that of other threads too, may still be taken."""
        if self.is_stopped:
            return
        self.is_stopped, self._offer_at_once, self._offer_text = True, None, None
        try:
            if calls := self._thread.end():
                call_all(self._reports.report, "a subscriber", *calls)
        finally:
            self._has_stopped = (error,)
            if self._shown is not None:
                self._shown.end(error)

    def end_waits(self) -> None:
        """Let all who wait for the peer to read go on: the connection is lost."""
        if self._holds is not None:
            self._holds.end_waits()

    def withdraw(self, lost: Callable[[Exception], object]) -> None:
        """Remove the message whose `lost` callback this is, if it still waits."""
        if self._buffer.weight and self._buffer.remove(lambda item: item.lost is lost):
            self._look()

    def detach(self) -> None:
        """Forget the socket, which has ended, and has this."""
        self._wire, self._offer, self._key_of, self._offline_queue = None, None, None, None
        if self._has_stopped is not None and (failure := self._has_stopped[0]) is not None:
            self._has_stopped = (without_frames(failure),)
        if self._shown is not None:
            self._shown.forget_frames()
        del self._owner

    def discard(self) -> list[Frame]:
        """Give up what waits, behind `stop`: nothing more is taken."""
        wire, self._wire = self._wire, None
        # without the pings that were to go before them, which are not counted
        withdrawn = [] if wire is None else [item for item in wire.withdraw() if not isinstance(item, Ping)]
        for item in withdrawn:
            self._counters.sent -= 1
            self._counters.sent_bytes -= len(item.data)
        items = self._buffer.pop(self._buffer.weight) if self._buffer.weight else []
        if self._holds is not None:
            self._holds.release()
        return withdrawn + items

    def _subscribe_core(self, observer: abc.ObserverBase[T], scheduler: object = None) -> abc.DisposableBase:
        return self._broadcast.subscribe(observer)

    def monitor(self, observer: abc.ObserverBase[T]) -> abc.DisposableBase:
        """Add an observer that sees what is sent before the others do."""
        return self._broadcast.subscribe(observer, first=True)

    def send_on(self, connection: object, value: Any) -> None:
        """Send a message on this connection or not at all; in the event loop."""
        if not self.is_stopped:
            try:
                item = encode(self.codec, value)
            except BaseException as error:
                self._failed(error, value)
            else:
                self.send(value, Limited(item, connection=connection), self.codec)

    def send(self, value: Any, frame: Frame | None, codec: Codec[Any, Any]) -> None:
        """Send a message whose frame `codec` has made, unless there is none; one that comes during the end waits."""
        try:
            if frame is None:
                frame, codec = encode(self.codec, value), self.codec
            item = frame if codec is self.codec else encode_again(frame, codec, self.codec)
            if item is None:
                self._drop(frame)
                return
            offer = None if self.is_stopped or self._key_of is not None else self._offer
            if offer is not None and not self._buffer.weight and offer(item):
                self._counters.sent += 1
                self._counters.sent_bytes += len(item.data)
            elif not self._let_wait(item):
                return
        except BaseException as error:
            if frame is None:
                self._failed(error, value)
            else:
                self._could_not_send(error, frame)
            return
        if self._shown is not None:
            self._shown.emit(value)

    # Messages of other threads

    def _send_from_thread(self, value: Any) -> None:
        """Let a message wait for the event loop; a `Close` is the last one."""
        if isinstance(value, Close):
            self._thread.run_last(self._close, value)
        elif not self._thread.ending:
            codec = self.codec
            frame, weight = encode_ahead(codec, value)
            self._hand_over(value, weight, self._take_over, value, frame, codec)

    def _take_over(self, value: Any, frame: Frame | None, codec: Codec[Any, Any]) -> None:
        """Send a message that has been handed over, and see whether there is room again."""
        try:
            self.send(value, frame, codec)
        finally:
            self._look()

    def _look(self) -> None:
        if self._holds is not None and self._holds.holding:
            self._holds.look(self._thread.weight)

    def _hand_over(self, value: Any, weight: int, function: Callable[..., object], *args: Any) -> None:
        """Have the event loop call a function with a message, or drop that, if its thread has run ahead."""
        thread = self._thread
        if thread.hand_over(function, *args, weight=weight) or thread.ending:
            if self._exceeded_with(thread.weight) and source_of_work() is not None:
                self._hold_back()
                if not self._exceeded_with(thread.weight):  # the event loop may have had all before it was held
                    thread.run_once(self._look)
            return
        self._count_dropped()
        if self._dropped is not None:
            thread.hand_over(self._dropped.emit, value, weight=weight, refusal=True)
        if self._policy == "close" and not self.offline:
            thread.run_once(self._overflow)

    def _exceeded_with(self, weight: int) -> bool:
        """Return whether more waits than the mark allows, with what is on its way from other threads."""
        return self._buffer.weight + weight > self._mark

    def connected(
        self,
        codec: Codec[Any, Any],
        wire: Wire,
        offer: Callable[[Frame], bool] | None,
        offer_text: Callable[[str], int | None] | None = None,
    ) -> None:
        """Record a new connection; forget what was for the previous one alone.

        Without `offer`, no message goes past the buffer; without `offer_text`, each is made a frame.
        """
        before, self.codec, self._wire, self.offline = self.codec, codec, wire, False
        self._offer = offer  # fast: FrameWriter.offer
        self._key_of = None
        if self._conflates and offer is not None:
            self._key_of = cast("ConflatingBuffer", self._buffer).key_of
        with _lock:
            looks = self.is_stopped or self._shown is not None or self._key_of is not None
            self._offer_at_once = None if looks else offer
            self._offer_text = None if looks else offer_text  # fast: FrameWriter.offer_text
        if self._buffer.weight:
            self._buffer.remove(lambda item: item.connection is not None)
        if self._offline_queue is not None:
            self._offline_queue.forget()
        if codec is not before:
            self._encode_again(before)

    def disconnected(self, connection: object) -> None:
        """Forget what was for this connection alone; another one will come."""
        self._wire, self._offer, self._key_of, self.offline = None, None, None, True
        self._offer_at_once = self._offer_text = None
        if self._remakes:
            self.codec = AWAITED
        self._buffer.remove(lambda item: item.connection is connection)
        self._look()
        assert self._offline_queue is not None
        self._offline_queue.forget()

    def encode(self, value: Any) -> Text | Binary:
        """Make a frame of a message, one for all that are sent the very same; raises `EncodeError`."""
        return encode(self.codec, value)

    def _let_wait(self, item: Frame) -> bool:
        """Put a message into the buffer, and wake the connection; tell whether the policies let it wait.

        Raises what the key function of `latest_by` or the offline policy raises.
        """
        buffer = self._buffer
        others = buffer.weight
        if self._renegotiates and (self._remakes or not is_pure(self.codec)):
            item = with_copy(item)
        if self.offline and self._offline_queue is not None and item.connection is None:
            kept = self._offline_queue.keep(item)  # behind `with_copy`: it remembers the very object that waits
            if kept is None:
                return False
            item = kept
        try:
            dropped = buffer.push(item, self._conflates and self._owner.congested, self.offline or self.is_stopped)
        except Full:
            self._drop(item)
            self._owner.overflow()
            return False
        if dropped is None:
            self._drop(item)
            return False
        if dropped:
            for loser in dropped:
                self._drop(loser)
            self._look()
        wire = self._wire
        if wire is not None and not others:
            wire.wake()
        if buffer.weight > self._mark:
            if wire is not None and self.has_room:
                wire.flush()
            if buffer.weight > self._mark:
                self._hold_back()
        return True

    def _hold_back(self) -> None:
        """Hold the sources of the present message; the socket itself if none is known, or none may be held."""
        source, socket = source_of_work(), cast("Held | None", getattr(self, "_owner", None))
        if socket is None or self._high_water.holds_for(source):  # or it has ended meanwhile, in another thread
            return
        found = sources_to_hold(socket, source, self._policy == "close")
        held = (socket,) if found is None else found
        if socket in held and self._owner.is_lost and (self._fits or not any(one.patient for one in held)):
            self._high_water.holding = True  # for those who wait for room without being held
        else:
            self._high_water.hold(source, held)

    @property
    def _fits(self) -> bool:
        """Whether as much as `high_water` may be added before the overflow policy rules."""
        return self._buffer.weight + self._mark <= self._limit

    def _failed(self, error: BaseException, value: Any) -> None:
        """Report what a codec or a policy raised over a value."""
        self._blame(as_error(error, "a policy"), value)
        raise_fatal(error)

    def _encode_again(self, before: Codec[Any, Any]) -> None:
        """Encode what waits with the codec that was negotiated now, and drop what then no longer fits.

        Losses are told of behind the last one, so that nothing a listener sends comes between those that wait.
        """
        losses: list[Callable[[], object]] = []
        for item in self._buffer.pop(self._buffer.weight):
            try:
                again = encode_again(item, before, self.codec)
                dropped = None if again is None else self._buffer.push(again, False, True)
            except BaseException as error:
                losses.append(partial(self._could_not_send, error, item))
            else:
                losses += [partial(self._drop, loser) for loser in ([item] if dropped is None else dropped)]
        call_all(self._reports.report, "a codec", *losses)

    def _could_not_send(self, error: BaseException, item: Frame) -> None:
        """Tell the caller that asks about a message that it cannot be sent, or report that."""
        if item.lost is None:
            self._failed(error, item.message)
        else:
            call(self._reports.report, "a subscriber", item.lost, as_error(error, "a codec or a policy"))
            raise_fatal(error)

    def _blame(self, error: Exception, value: Any) -> None:
        """Report that a value cannot be sent, to the socket that it came from if that could not send it either.

        If it could, this socket is the odd one: its codec is another. Of many sockets that a value is for, the first
        one reports it.
        """
        global _blamed
        blamed: Any = getattr(socket_of(current_source.get()), "outgoing", None)
        if parted(error, Close)[0] is not None or not isinstance(blamed, Outgoing):
            self._reports.report(error)
            return
        to_blame, told, first = _blamed
        if blamed is to_blame and value is told and first is not self:
            return
        blamed = cast("Outgoing[Any]", blamed)
        if blamed is not self and not blamed._refuses(value, error, self):
            self._reports.report(error)
            return
        if to_blame is None:
            self._thread.loop.call_soon(_forget)
        _blamed = blamed, value, self
        blamed._reports.report(error)

    def _refuses(self, value: Any, error: Exception, by: Outgoing[Any]) -> bool:
        """Tell whether the codec, or the key function of `latest_by`, refuses a value that `by` could not send either.

        In another thread it is not asked, nor is a codec that is not pure.
        """
        if by._loop is not self._loop:
            return False
        if by.codec is self.codec and isinstance(error, EncodeError):
            return True
        try:
            if is_pure(self.codec):
                self.encode(value)
            if isinstance(self._policy, LatestBy):
                self._policy.key(value)
        except Exception:
            return True
        return False

    def _drop(self, item: Frame) -> None:
        self._count_dropped()
        if item.lost is not None:
            reason = ConnectionLost("the message was dropped before it was sent")
            call(self._reports.report, "a subscriber", item.lost, reason)
        if self._dropped is not None:
            self._dropped.emit(item.message)

    def _overflow(self) -> None:
        if not self.is_stopped:
            self._owner.overflow()

    def _close(self, close: Close) -> None:
        if not self.is_stopped:
            self._owner.close(close)

    def _fail(self, error: Exception) -> None:
        if not self.is_stopped:
            self.stop(error)
            self._reports.fail(error)

    def _count_dropped(self) -> None:
        with _lock:
            self.dropped_count += 1
