"""One connection of a socket: messages, heartbeat, closing handshake. The `Endpoint` of its wire."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any, Final, cast

from rxws import codecs
from rxws.close import Close
from rxws.codecs import Codec
from rxws.core.encoding import encode, is_pure, split
from rxws.core.heartbeat import Pinger
from rxws.core.limits import MessageDeadline, TokenBucket
from rxws.core.owner import ConnectionOwner, Queue
from rxws.core.phases import ConnectionPhase, Phased, WirePhase
from rxws.core.receipts import Receipts
from rxws.core.window import SendWindow
from rxws.core.wire import Frame, Ping, Wire
from rxws.errors import ConnectionLost, DecodeError, HeartbeatTimeout, ProtocolError, parted, raise_fatal
from rxws.options import Heartbeat, Settings
from rxws.rx.foreign import as_error, caused, described
from rxws.rx.holds import Source, current_source

OPEN, RETIRING, LEAVING = ConnectionPhase.OPEN, ConnectionPhase.RETIRING, ConnectionPhase.LEAVING
FLUSHING, CLOSING = ConnectionPhase.FLUSHING, ConnectionPhase.CLOSING

PINGS: Final = 1000.0
"""Pings of the peer's a second, and pongs that nobody asked for, with a burst of as many.

Each costs about as much as a message.
"""


PING_SIZE: Final = 8
"""Bytes of a ping's data, which is its number in hexadecimal digits: some peers make text of it, and bytes again."""

ANSWERS_WAITING: Final = 16
"""Answers to pings in the application's words that wait; each may be as large as a message."""

TOO_BIG: Final = 1009
"""Message Too Big (RFC 6455, section 7.4.1)."""


class _FirstInConnection(Phased):
    """What each message needs, side by side in memory: slots of a base class come first, those of one class by name."""

    __slots__ = ("_decode", "as_it_comes", "context", "counters", "emit", "phase")


class Connection(_FirstInConnection):
    """Speaks for its socket on one wire, from the handshake to the end of the transport.

    The first cause of the end wins: a close of ours, a close of the peer's, a violation, the connection's loss.
    """

    __slots__ = (
        *("_answer", "_answers", "_deadline", "_loop", "_message_bucket"),
        *("_message_deadline", "_outgoing", "_owner", "_ping_bucket", "_ping_wanted", "_pinged"),
        *("_ponged", "_settings", "cause", "closed_by_peer", "codec"),
        *("heartbeat", "is_lost", "more"),
        *("offer", "offer_text", "receipts", "window", "wire"),
    )

    def __init__(
        self,
        socket: Source,
        wire: Wire,
        settings: Settings,
        codec: Codec[Any, Any],
        *,
        confirmed: bool,
    ) -> None:
        self.wire = wire
        self.codec = codec
        self.phase = ConnectionPhase.OPEN
        self.more = False
        self.context = copy_context()
        self.cause: Close | None = None
        """Why it ends, once it does."""
        self.heartbeat: Pinger | None = None
        self.receipts: Receipts | None = None
        self.closed_by_peer = False
        """Whether the peer's close frame is what ends it."""
        self.is_lost = False
        """Whether nothing more can be sent, and the end waits for messages that came before."""
        self.context.run(current_source.set, socket)
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._message_bucket = TokenBucket(settings.message_rate) if settings.message_rate else None
        self._decode: Callable[[Any], Any] | None = None  # for text that is not limited there is nothing to do
        if codec is not codecs.text or self._message_bucket is not None:
            self._decode = self._decoder(codec)  # Codec.decode
        self.as_it_comes = self._decode is None
        self._ping_bucket: TokenBucket | None = None  # as most peers send none
        self._message_deadline: MessageDeadline | None = None  # as most messages come whole
        self._deadline: asyncio.TimerHandle | None = None
        self._answer: Close | None = None
        self._answers: deque[Any] | None = None  # to pings in the application's words
        self._ping_wanted = False  # by the heartbeat
        self._pinged = self._ponged = 0  # the numbers of our last ping, and of the last one that is answered
        self.window = (
            SendWindow(self._loop, wire, self.context, self._offer_ping, counted=settings.in_flight is not None)
            if settings.conflates and (wire.can_ping or settings.in_flight is not None)
            else None  # nothing would confirm what is in flight
        )
        self.offer: Callable[[Frame], bool] | None = wire.offer
        """Takes a message past `take`, or refuses it. Nothing goes past it if each message is confirmed."""
        self.offer_text: Callable[[str], int | None] | None = None
        """The same for text."""
        if codec is codecs.text and self.window is None:
            self.offer_text = wire.offer_text  # FrameWriter.offer_text
        if self.window is not None and not wire.offer_within(self.window.room_past):
            self.offer = None
        if confirmed:
            self.receipts = Receipts(self._loop, settings.max_buffered, wire.wake)
            self.offer, self.offer_text = None, None

    def _decoder(self, codec: Codec[Any, Any]) -> Callable[[Any], Any]:
        return codec.decode

    def belong(self, owner: ConnectionOwner, emit: Callable[[Any], object], outgoing: Queue) -> None:
        """Speak for an owner from now on: `emit` what comes, send what `outgoing` has."""
        self._owner = owner
        self.counters = owner.counters
        if self.window is not None:
            self.window.belong(owner.counters)
        self.emit = emit  # Broadcast.emit
        words = self._settings.words
        if words is not None and (words.pong or words.answer):
            self.emit = partial(self._sift, words, emit)
        self._outgoing = outgoing

    def start(self, *, held: bool, greeting: bool = False) -> None:
        """Begin to read and write, or go on with it for another owner. A `greeting` has the words to itself."""
        wire = self.wire
        if self.cause is None:
            self._begin_to_ping(greeting=greeting)
            if self._settings.in_flight is not None and not greeting:
                self.emit = partial(self._count_taken, self._settings.in_flight, self.emit)
        if wire.phase is not WirePhase.NEW:
            wire.hold() if held else wire.resume()
            wire.wake()
            return
        if held:
            wire.hold()
        wire.start(self)
        if self.cause is not None or self._outgoing.waits:
            wire.wake()

    def _begin_to_ping(self, *, greeting: bool) -> None:
        seconds, ping = self._settings.heartbeat, None
        if isinstance(seconds, Heartbeat):
            seconds, ping = None if greeting else seconds.seconds, seconds.ping
        if not self.wire.can_ping and ping is None:
            return
        if seconds is None or self.heartbeat is not None:
            return
        self.heartbeat = Pinger(self._loop, seconds, self)
        if ping is not None and not callable(ping) and is_pure(self.codec):
            self._say(lambda: ping)  # which is not sent, but told of if it cannot be

    @property
    def congested(self) -> bool:
        """Whether nothing can be sent for now: the transport is full, or too much is in flight."""
        window = self.window
        return self.wire.congested or (window is not None and window.closed and self.phase is OPEN)

    # Closing

    @property
    def refusal(self) -> Close | None:
        """The peer's close, if it says that a message of ours was too large."""
        cause = self.cause
        return cause if self.closed_by_peer and cause is not None and cause.code == TOO_BIG else None

    def start_deadline(self) -> None:
        """Give the end `close_timeout` seconds from now, if it has not begun."""
        if self._deadline is None:
            self._deadline = self._loop.call_later(self._settings.close_timeout, self.wire.abort, context=self.context)

    def begin_closing(self, cause: Close, answer: Close | None, phase: ConnectionPhase = CLOSING) -> bool:
        """Begin to close in a `phase`, unless it closes already; `answer` is the close frame to send."""
        if self.cause is not None:
            return False
        self.start_deadline()
        self.cause, self._answer = cause, answer
        self.enter(phase)
        self.as_it_comes = False  # it may be dropped
        if self.heartbeat is not None:
            self.heartbeat.stop()
        if self._message_deadline is not None:
            self._message_deadline.stop()
        self.wire.wake()
        return True

    def give_up(self, error: ConnectionLost) -> None:
        """Take the connection for lost, and drop it."""
        try:
            self._lose(error)
        finally:
            self.wire.abort()

    # The endpoint of the wire

    @property
    def _sends_on(self) -> bool:
        """Whether it sends though it retires: no pong can be read, and what waits may be what holds reading."""
        return self.phase is RETIRING and self.wire.blind and self._owner.connection is self

    def take(self, limit: int) -> Sequence[Frame] | Close:
        """Give the wire the next frames: a ping, what is queued, the close. Then `more` tells whether there is more."""
        receipts, window, ping, self.more = self.receipts, self.window, None, True
        takes = self.phase is OPEN or self._sends_on
        if (self._ping_wanted or self._answers) and self.cause is None and (frames := self._take_aside()):
            return frames
        sending = takes or self.phase is FLUSHING
        if receipts is not None:
            if receipts.due:
                return (self._ping(),)
            if sending and receipts.full and self._reads and not self.wire.blind:
                self.more = False
                return ()
            limit = 0  # one at a time, since a ping may be due after each
        if window is not None and takes and self._outgoing.waits:
            if window.room <= 0:
                if not window.admits():
                    self._outgoing.conflate()
                    self.more = False
                    return ()
                if window.due:
                    ping = self._ping()
                    if limit == 0:
                        return (ping,)
            limit = min(limit, max(window.room, 1))
        if sending and (items := self._outgoing.next_items(limit)):
            if window is not None:
                window.sent(items)
            if receipts is not None:
                receipts.sent(items[0], blind=self.wire.blind)
            else:
                self.more = self._answer is not None or self._outgoing.waits
            return items if ping is None else (ping, *items)
        if self._answer is None:
            self.more = False
            return () if ping is None else (ping,)
        if receipts is not None and self._reads and receipts.last_due:
            return (self._ping(last=True),)
        self.more = False
        answer, self._answer = self._answer, None
        return answer

    def _take_aside(self) -> Sequence[Frame]:
        """Give what goes ahead of all that waits: a ping, or the answer to one."""
        frames: Sequence[Frame] = ()
        while self.cause is None and not frames:
            if self._ping_wanted and self.heartbeat is not None:
                self._ping_wanted = False
                if (words := self._words) is None:
                    return (self._ping(),)
                if frames := self._say(words if callable(words) else lambda: cast("object", words)):
                    self.heartbeat.asked(0, self._loop.time())
                else:
                    self.heartbeat.unseen = False  # nobody was asked
            elif self._answers:
                frames = self._say(self._answers.popleft)
            else:
                break
        if self.window is not None:
            self.window.sent_besides(frames)
        return frames

    @property
    def _words(self) -> Any:
        """The ping in the application's words, if the heartbeat has one: control frames are then not its own."""
        words = self._settings.words
        return None if words is None else words.ping

    def _say(self, make: Callable[[], Any]) -> Sequence[Frame]:
        """Make the frames of a message that is none of the socket's; report what cannot be said."""
        try:
            return split(encode(self.codec, make(), keep=False))
        except BaseException as error:
            self._owner.report(as_error(error, "a heartbeat"))
            raise_fatal(error)
            return ()

    def _sift(self, words: Heartbeat, emit: Callable[[Any], object], message: Any) -> None:
        """Emit a message, unless it is a pong in the application's words, or a ping that has an answer."""
        answer: Any = None
        try:
            is_pong = words.pong is not None and self.heartbeat is not None and words.pong(message)
            if not is_pong and words.answer is not None:
                answer = words.answer(message)
        except BaseException as error:
            self._owner.report(as_error(error, "a heartbeat"))
            emit(message)
            raise_fatal(error)
            return
        if not is_pong and answer is None:
            emit(message)
            return
        self.counters.received -= 1
        self.sign_of_life()
        if is_pong:
            assert self.heartbeat is not None
            self.heartbeat.answered()
        else:
            self._answers = self._answers or deque(maxlen=ANSWERS_WAITING)
            self._answers.append(answer)
            self.wire.wake()

    def _count_taken(self, count_of: Callable[[Any], Any], emit: Callable[[Any], object], message: Any) -> None:
        """Emit a message, unless it says how many the peer's program has taken."""
        try:
            count = count_of(message)
        except BaseException as error:
            self._owner.report(as_error(error, "in_flight"))
            emit(message)
            raise_fatal(error)
            return
        if count is None:
            emit(message)
            return
        self.counters.received -= 1
        self.sign_of_life()
        assert self.window is not None
        try:
            news = self.window.taken(count, self._loop.time())
        except (TypeError, ValueError) as error:
            self._owner.note(error)
        else:
            if news and self._outgoing.waits:
                self.wire.wake()

    def message_received(self, data: Any) -> None:
        """Count, decode and emit a message."""
        if self.phase is not OPEN and self.phase is not RETIRING and self.phase is not LEAVING:
            return
        counters = self.counters
        counters.received += 1
        counters.received_bytes += len(data) if type(data) is bytes or data.isascii() else len(data.encode())
        if self._decode is not None:
            if self._message_bucket is not None and not self._message_bucket.admits(self._loop.time()):
                self.refuse_flood()
                return
            try:
                data = self._decode(data)
            except BaseException as cause:
                self.refuse_message(data, cause)
                return
        self.emit(data)

    def refuse_flood(self) -> None:
        """Close, since more comes than `message_rate` allows."""
        if self.receipts is not None:
            self._refuse(f"more than {self._settings.message_rate:g} messages a second", "Message Rate Exceeded")
            return
        self.wire.ignore()
        self._owner.close(Close(1008, "Message Rate Exceeded"))

    def refuse_message(self, data: Any, cause: BaseException) -> None:
        """Report that a codec has raised over what came."""
        error = as_error(cause, "a codec")
        if parted(error, Close)[0] is None:
            error = caused(DecodeError(data, described(cause, str)), cause)
        self._owner.message_refused(self, error)
        raise_fatal(cause)

    def part_received(self) -> None:
        """Note that the peer lives, and for how long it has been sending a message."""
        self.sign_of_life()
        limit = self._settings.message_timeout
        if limit is not None and self.cause is None:
            if self._message_deadline is None:
                self._message_deadline = MessageDeadline(self._loop, limit, self.wire, self._message_overdue)
            self._message_deadline.part_received()

    def relieved(self) -> None:
        """Note that the peer has read some; what has waited for it is conflated before it goes."""
        self.sign_of_life()
        if self.phase is OPEN or self._sends_on:
            self._outgoing.conflate()

    def sign_of_life(self) -> None:
        """Note that the peer lives."""
        if self.heartbeat is not None:
            self.heartbeat.unseen = False

    def ping_received(self) -> None:
        """Note that the peer lives, unless it floods."""
        self.sign_of_life()
        self._count_ping()

    def pong_received(self, data: bytes) -> None:
        """Note a pong: the peer has read all that went before the ping that it answers (RFC 6455, section 5.5.3)."""
        self.sign_of_life()
        number = _number_in(data)
        if not self._ponged < number <= self._pinged:  # nobody asked for it
            if self.receipts is not None and self.receipts.unasked():
                self.wire.wake()
            self._count_ping()
            return
        self._ponged, now = number, self._loop.time()
        if self.heartbeat is not None and self._words is None:
            self.heartbeat.pong(number, now)
        answered = self.receipts is not None and self.receipts.answered(number)
        if self.window is not None:
            answered |= self.window.answered(number, now) and self._outgoing.waits
        if answered:
            self.wire.wake()

    def close_received(self, close: Close) -> None:
        """Answer the peer's close with its code; it will not read what was queued."""
        if self.begin_closing(close, close.passed_on()):
            self.closed_by_peer = True
            self._owner.connection_ending(self, close)
        else:
            self.wire.wake()  # a flush may have waited for a pong

    def protocol_violated(self, error: Exception, close: Close) -> None:
        """Report what the peer did, and fail the connection (RFC 6455, section 7.1.7)."""
        self._fail(caused(ProtocolError(str(error), close.code), error), close)

    def transport_lost(self) -> None:
        """Note that nothing more can be sent: nobody need wait for the peer to read."""
        self.is_lost = True
        self._owner.transport_lost(self)

    def connection_lost(self, error: BaseException | None) -> None:
        """End: the transport was lost."""
        try:
            if self.cause is None:
                self._lose(caused(ConnectionLost("the connection ended without a close frame"), error))
        finally:
            self.enter(ConnectionPhase.CLOSED)
            assert self._deadline is not None
            self._deadline.cancel()
            if self.receipts is not None:
                self.receipts.stop()
            if self.window is not None:
                self.window.stop()
            try:
                self._owner.connection_closed(self)
            finally:
                self._detach()

    def _detach(self) -> None:
        """Cut the circles: the socket has this, and so has the wire."""
        if self.heartbeat is not None:
            self.heartbeat.detach()
        if self.receipts is not None:
            self.receipts.detach()
        if self.window is not None:
            self.window.detach()
        self._message_deadline, self._deadline, self.offer, self.offer_text = None, None, None, None
        try:
            self.context.run(current_source.set, None)
        except RuntimeError:  # it runs now
            current_source.set(None)
        del self.emit, self._owner, self.wire

    # What ends it besides

    @property
    def _reads(self) -> bool:
        """Whether an answer of the peer's would count: not once its end has come, which may wait during a hold."""
        return self.wire.phase is WirePhase.READING

    def send_ping(self) -> None:
        """Send a ping of the heartbeat's, before what is queued."""
        self._ping_wanted = True
        self.wire.wake()
        self._owner.beat()

    def _ping(self, *, last: bool = False) -> Ping:
        """Make the next ping: its answer tells all who ask."""
        ping = self._next_ping()
        self._asked(last=last)
        return ping

    def _offer_ping(self) -> bool:
        """Have the wire take the next ping past `take`."""
        taken = self.wire.offer(self._next_ping())
        if taken:
            self._asked()
        return taken

    def _next_ping(self) -> Ping:
        return Ping(b"%0*x" % (PING_SIZE, self._pinged + 1))

    def _asked(self, *, last: bool = False) -> None:
        """Tell all who ask that a ping goes."""
        self._pinged += 1
        number, now = self._pinged, self._loop.time()
        if self.heartbeat is not None and self._words is None:
            self.heartbeat.asked(number, now)
        if self.receipts is not None:
            self.receipts.asked(number, last=last)
        if self.window is not None:
            self.window.asked(number, now)

    def heartbeat_missed(self) -> None:
        """Give up on a peer that has not answered, unless its end has come."""
        if self._reads:
            self.give_up(HeartbeatTimeout("the peer gave no sign of life after a ping"))

    def _lose(self, error: ConnectionLost) -> None:
        try:
            if self.cause is None:
                self._owner.connection_lost(error)
        finally:
            if self.begin_closing(Close.received(1006), None):
                self._owner.connection_ending(self, error)

    def _count_ping(self) -> None:
        if self._ping_bucket is None:
            self._ping_bucket = TokenBucket(PINGS)
        if self.cause is None and not self._ping_bucket.admits(self._loop.time()):
            self._refuse(f"more than {PINGS:g} pings a second", "Too Many Pings")

    def _message_overdue(self) -> None:
        if self._reads:
            self._refuse(f"a message took more than {self._settings.message_timeout:g} s", "Message Unfinished")

    def _refuse(self, why: str, reason: str) -> None:
        """Fail the connection of a peer that takes too much."""
        self.wire.ignore()
        self._fail(ProtocolError(why, 1008), Close(1008, reason))

    def _fail(self, violation: ProtocolError, close: Close) -> None:
        if self.begin_closing(close, close):
            self._owner.connection_ending(self, violation)
            self._owner.note(violation)
        else:
            self.wire.wake()


def _number_in(pong: bytes) -> int:
    """Return the number of the ping that a pong answers; 0 if it is none of ours."""
    try:
        return int(pong, 16) if len(pong) >= PING_SIZE else 0
    except ValueError:
        return 0
