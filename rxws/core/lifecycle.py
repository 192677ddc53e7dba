"""The life of one socket: its three streams, the holds on reading, and how everything ends, once and in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from reactivex import Observable, abc
from reactivex.internal import noop

from rxws.close import Close
from rxws.codecs import Codec, Streamed
from rxws.core.connection import Connection
from rxws.core.encoding import AWAITED
from rxws.core.incoming import Incoming
from rxws.core.log import SERVER, SocketLog
from rxws.core.outgoing import Outgoing
from rxws.core.phases import ConnectionPhase, Phased, SocketPhase
from rxws.core.reports import Reports
from rxws.core.stream_connection import StreamConnection
from rxws.core.wire import Wire
from rxws.core.work import Work
from rxws.errors import ConnectionLost, close_for, parted
from rxws.options import CodecFactory, Settings
from rxws.rx.broadcast import Outcome
from rxws.rx.disposal import on_dispose
from rxws.rx.endings import tell_ending
from rxws.rx.foreign import call_all, without_frames
from rxws.rx.holds import Held, Source, counting
from rxws.rx.loop_thread import MAX_HANDED_OVER_BYTES, LoopThread, running_loop
from rxws.rx.scheduler import LoopScheduler, subscribe_directly
from rxws.stats import Counters

Renew = Callable[[Exception], Callable[[], object] | None]
"""Asks whether another connection follows the one that an error ends: `None`, or what announces it."""


BLAMES: Final = (1002, 1003, 1007, 1008, 1009, 1010)
"""Codes that say what the one who gets them did wrong (RFC 6455, section 7.4.1)."""


class Lifecycle(Held, Phased):
    """Joins the three streams of a socket with its connection, and ends them, once and in order.

    A client's has an `opener` if it was opened in the handler of that one.

    A socket of a server has one connection. One that may `renew` it has one after the other; between them it is
    offline, and what is sent waits. `phase` says where it stands, see `SocketPhase`.
    """

    __slots__ = (
        *("_answer", "_at_end", "_codec", "_connections", "_deadline", "_held", "_idle", "_opener", "_owns", "_renew"),
        *(
            "_is_client",
            "_said_unread",
            "_shared",
            "_unread_at",
            "_when_shared",
            "close_cause",
            "closed",
            "connection",
            "counters",
            "due",
            "in_hand",
            "incoming",
        ),
        *("on_closed", "outgoing", "phase", "protocol", "reports", "settings", "subscription", "thread", "work"),
    )

    def __init__(
        self,
        settings: Settings,
        protocol: str | None = None,
        *,
        log: SocketLog | None = None,
        renew: Renew | None = None,
        opener: Source | None = None,
        is_client: bool = False,
        outgoing: type[Outgoing[Any]] = Outgoing,
    ) -> None:
        log = log or SocketLog(SERVER)
        self.phase = SocketPhase.CONNECTING
        self.thread = LoopThread(
            asyncio.get_running_loop(), max_bytes=max(settings.max_buffered, MAX_HANDED_OVER_BYTES)
        )
        self.reports = Reports(self.thread, log, settings.max_buffered, self)
        self.settings = settings
        self.protocol = protocol
        self.counters = Counters()
        if hasattr(self.thread.loop, "now"):  # its time is virtual
            self.counters.clock = self.thread.loop.time
        self.incoming: Incoming[Any] = Incoming(self, self.reports)
        self._codec: Codec[Any, Any] | None = None  # of the connection that is to come
        codec = settings.codec_for(protocol if renew is None else next(iter(settings.protocols), None))
        if isinstance(codec, CodecFactory):
            codec = AWAITED
        self.outgoing: Outgoing[Any] = outgoing(
            self, self.thread, settings, codec, self.counters, returns=renew is not None
        )
        self.closed: Outcome[Close] = Outcome(log)
        self.close_cause: Close | None = None
        """Why the socket ends, once it does."""
        self.connection: Connection | None = None
        """The connection that takes what is sent, if there is one."""
        self.subscription: abc.DisposableBase | None = None
        self.on_closed: Callable[[Lifecycle], object] | None = None
        """Called when the socket has ended, by the one who keeps a list of sockets."""
        self._is_client = is_client
        self._opener = opener
        self._shared = False
        self._when_shared: tuple[Callable[[], object], ...] = ()
        self._renew = renew
        self._answer: Close | None = None
        self._connections: tuple[Connection, ...] = ()
        self._held = 1  # until there is a reader: Incoming.held
        self._unread_at: int | None = None  # messages received before those that waited unread at the last beat
        self._said_unread = False
        self._at_end: tuple[Callable[[], object], ...] = ()
        self._deadline: asyncio.TimerHandle | None = None
        self.due = 0.0
        """The event loop's time at which the end is to be over."""
        self.in_hand = 0
        """The items that operators work on."""
        self._idle: tuple[Callable[[], object], ...] = ()  # done when the last of them is, after the end
        self._owns = False  # pipelines that go when the socket goes
        self.work: Work | None = None
        """The work of a handler that is a coroutine."""

    # Opening

    def make_codec(self) -> None:
        """Make the codec of a socket that has one connection, before that opens; raises what its factory does."""
        if self.outgoing.codec is AWAITED:
            self.outgoing.codec = self.settings.make_codec(self.protocol)
        self._codec = self.outgoing.codec

    def connect(self, wire: Wire, protocol: str | None) -> Connection:
        """Make a connection on a wire whose handshake is done; raises what the factory of its codec does."""
        codec, self._codec = self._codec or self.settings.make_codec(protocol), None
        kind = StreamConnection if isinstance(codec, Streamed) else Connection
        return kind(self, wire, self.settings, codec, confirmed=self._renew is not None)

    def open(self, wire: Wire, protocol: str | None = None, connection: Connection | None = None) -> Connection:
        """Begin on a wire, with the connection made for it, if there is one. What was sent or closed before follows."""
        connection = connection or self.connect(wire, protocol)
        connection.belong(self, self.incoming.emit, self.outgoing)
        self.outgoing.connected(connection.codec, wire, connection.offer, connection.offer_text)
        self.protocol, self.connection = protocol, connection
        self._connections += (connection,)
        if self.counters.opened is None:
            self.counters.opened = self.counters.clock()
        log = self.reports.log
        if log.path is None:  # else a server's request has said so
            log.remote = wire.remote
        log.opened(protocol)
        if self.close_cause is not None:
            self.enter(SocketPhase.CLOSING)
            connection.begin_closing(self.close_cause, self._answer, ConnectionPhase.FLUSHING)
        elif self.phase is not SocketPhase.OPEN:  # or it replaces another one
            self.enter(SocketPhase.OPEN)
        self.reports.tell(("open", protocol))
        connection.start(held=self._held > 0 and self.close_cause is None)
        return connection

    def own(self, *disposables: abc.DisposableBase) -> None:
        """Take charge of disposables: they go when the socket goes, and the socket goes when one of them does."""
        self._owns = True
        for disposable in disposables:
            on_dispose(disposable, self.dispose)
            self.at_end(disposable.dispose)

    def stream(self, observable: Observable[Any]) -> None:
        """Send what an Observable emits, on the event loop's scheduler; its end is the socket's."""
        self._owns = True
        streaming = Streaming(self)
        streaming.begin(observable, LoopScheduler(self.thread, self.reports.fail))
        self.subscription = streaming
        if self.phase is SocketPhase.CLOSED:
            streaming.dispose()

    def work_in(self, work: Work) -> None:
        """Give the handler's coroutine until `close_timeout` after the end began to finish."""
        self.work = work
        if self.gone:
            work.socket_closed(self.due)

    async def worked(self) -> None:
        """Wait until the work of the handler is over, and of operators it does not own, as long as it may take."""
        loop, until = self.thread.loop, self.due + self.settings.close_timeout
        if self.work is not None:
            await self.work.over(until)
        if self.in_hand:
            idle = loop.create_future()
            self.when_idle(lambda: idle.done() or idle.set_result(None))
            await asyncio.wait({idle}, timeout=max(0.0, until - loop.time()))

    def when_idle(self, action: Callable[[], object]) -> None:
        """Act when the socket has ended and no operator works on an item of it."""
        self._idle += (action,)

    def at_end(self, action: Callable[[], object]) -> None:
        """Run an action when the socket ends, just before `closed` tells; at once if it has."""
        if self.gone:
            action()
        else:
            self._at_end += (action,)

    # Holds

    @property
    def held(self) -> bool:
        """Whether nothing is read for now."""
        return self._held > 0

    def _follow_holds(self) -> None:
        if running_loop() is not self.thread.loop:
            self.thread.run_once(self._follow_holds)
        elif self.close_cause is None:
            for connection in self._connections:
                connection.wire.hold() if self._held else connection.wire.resume()

    def deserted(self, how: Close) -> None:
        """Close if the last reader has left with the socket in whose handler this one was opened: nobody else would."""
        if self._opener is not None and self._opener.gone:
            self.close(how)

    @property
    def unread(self) -> int:
        """Messages that wait for a reader, as far as the wires have read ahead."""
        kept = len(self.incoming.readers.kept)
        return kept + sum(connection.wire.unread for connection in self._connections)

    def beat(self) -> None:
        """Say that nobody reads, once, if messages have been waiting since the last beat."""
        received = self.counters.received if self.incoming.readers.held and self.unread else None
        if received is not None and received == self._unread_at:
            self._say_unread(self.unread, over=False)
        self._unread_at = received

    def _say_unread(self, messages: int, *, over: bool) -> None:
        if messages and not self._said_unread:
            self._said_unread = True
            self.reports.log.unread(messages, over=over)

    def _say_never_read(self, connection: Connection) -> None:
        if self.incoming.readers.held:
            self._say_unread(connection.wire.unread, over=True)

    # Closing

    def close(self, close: Close, *, flush: bool = True) -> None:
        """Begin to close, unless it closes already: send what is queued (`flush`) and `close`, within the deadline."""
        if self.close_cause is not None:
            return
        self._answer = close = without_frames(close.passed_on())
        parting = self.connection is None
        self._begin_closing(close, SocketPhase.PARTING if parting else SocketPhase.CLOSING)
        if parting and self.outgoing.offline:
            loop = self.thread.loop
            self._deadline = loop.call_later(self.settings.close_timeout, self.abort)
            loop.call_soon(self._part)
        connections = self._connections
        for connection in connections:
            connection.start_deadline()
        self._perform(self.incoming.end, self.outgoing.stop)
        if not flush:
            self._perform(self._give_up_queue)
        for connection in connections:
            flushes = flush and connection is self.connection
            phase = ConnectionPhase.FLUSHING if flushes else ConnectionPhase.CLOSING
            self._perform(lambda c=connection, p=phase: c.begin_closing(close, close, p), connection.wire.resume)

    def dispose(self) -> None:
        """Close with 1000; from any thread."""
        if self.close_cause is None:
            self.thread.run_last(self.close, Close())

    def overflow(self) -> None:
        """Close because the peer reads too slowly; what waits would only make it slower."""
        if self.is_lost:
            return  # that it is lost came first
        close, connection = Close(1013, "Too Slow"), self.connection
        if self._renew is None:
            self.close(close, flush=False)
        elif connection is not None and connection.begin_closing(close, close):
            self.connection_ending(connection, close)

    def abort(self, cause: Close | None = None) -> None:
        """End at once what has not ended: connections, what is in hand, the work of the handler."""
        if self.phase is SocketPhase.CLOSED and self.work is None:
            return
        if self.close_cause is None:
            self._begin_closing(cause or Close.received(1006), SocketPhase.CLOSING)
        self.due = self.thread.loop.time()
        self._perform(*(connection.wire.abort for connection in self._connections))
        self.no_connection_follows()
        if self.work is not None:
            self.work.cut()

    def _part(self) -> None:
        """End, unless something waits for the connection on its way."""
        if not self.outgoing.waits:
            self.no_connection_follows()

    def no_connection_follows(self) -> None:
        """End, unless there is a connection: no other one will follow."""
        if not self._connections and not self.gone:
            if self.close_cause is None:
                self._begin_closing(Close.received(1006), SocketPhase.CLOSING)
            elif self.phase is SocketPhase.PARTING:
                self.enter(SocketPhase.CLOSING)
            self._finish()

    def _finish(self) -> None:
        """Finalize when the items in hand are done, or their time is over."""
        if self.in_hand and self._owns:
            if (left := self.due - self.thread.loop.time()) > 0:
                self.enter(SocketPhase.FINISHING)
                self._deadline = self.thread.loop.call_later(left, self._cut)
                return
            self.reports.log.cut("%d items in hand", self.in_hand)
        self.finalize()

    def _cut(self) -> None:
        if not self.in_hand:
            idle, self._idle = self._idle, ()
            for action in idle:
                action()
        if self.phase is SocketPhase.FINISHING:  # or another thread has let go of its item too late
            self.due = self.thread.loop.time()
            self._finish()

    def finalize(self) -> None:
        """End the streams and what the socket owns, once and in order; each whatever the others raise."""
        assert self.close_cause is not None
        close, actions, self._at_end = self.close_cause, self._at_end, ()
        self.enter(SocketPhase.CLOSED)
        if self._deadline is not None:
            self._deadline.cancel()
        if self.subscription is not None:
            actions = self.subscription.dispose, *actions
        work = () if self.work is None else (partial(self.work.socket_closed, self.due),)
        try:
            self._perform(
                *(self.incoming.readers.end, self.outgoing.stop, self.reports.end_errors, self.outgoing.end_dropped),
                *(self._give_up_queue, self.reports.end_undelivered),
                *[partial(tell_ending, self.incoming.readers.how, action) for action in actions],
                *work,
                partial(self._tell_closed, close),
            )
        finally:
            self._detach()
            self.closed.settle(close)

    def _detach(self) -> None:
        """Cut the circles that an end leaves: nobody is to wait for Python's collector to be freed."""
        self.outgoing.detach()
        self.reports.detach()
        self._opener = self._renew = self._deadline = None
        self._when_shared = ()

    def _begin_closing(self, cause: Close, phase: SocketPhase) -> None:
        self.close_cause = cause
        self.incoming.readers.how = self._in_other_words(cause)
        self.due = self.thread.loop.time() + self.settings.close_timeout
        self.enter(phase)

    def _in_other_words(self, cause: Close) -> Close:
        """Say how it ends to the peer of another socket, who is not to blame for what this one's peer has done."""
        by_peer = self.connection is not None and self.connection.closed_by_peer
        return cause.passed_on() if by_peer or cause.code not in BLAMES else Close(1011, "Connection Failed")

    def _give_up_queue(self) -> None:
        if items := self.outgoing.discard():
            self.reports.give_back(items)

    def _tell_closed(self, close: Close) -> None:
        self.counters.ended = self.counters.clock()
        by_peer = self.connection is not None and self.connection.closed_by_peer
        try:
            self.reports.log.closed(close, self.counters, dropped=self.outgoing.dropped_count, by_peer=by_peer)
        finally:
            if self.on_closed is not None:
                self.on_closed(self)

    def _perform(self, *steps: Callable[[], object]) -> None:
        """Take all steps of an end, whatever they raise."""
        call_all(self.reports.log.unobserved, "what a socket owns", *steps)

    # The owner of outgoing and of the connections, and the source of what they emit

    @property
    def owner(self) -> Source | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The socket in whose handler it was opened; a server's is its own."""
        return self._opener if self._is_client else self

    @property
    def shared(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether what it receives goes to many."""
        return self._shared or self.incoming.readers.shared

    def share(self) -> None:
        """Say that it does, to those who hold it."""
        self._shared = True
        self.now_shared()

    def now_shared(self) -> None:
        """Tell those who hold it that it has become another one's, too."""
        for action in self._when_shared:
            action()

    def when_shared(self, action: Callable[[], object]) -> None:
        """Act when it turns out to be shared, once or more often."""
        with counting:
            self._when_shared = (*(other for other in self._when_shared if other != action), action)

    def forget(self, action: Callable[[], object]) -> None:
        """Do not act then."""
        with counting:
            self._when_shared = tuple(other for other in self._when_shared if other != action)

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self.phase is SocketPhase.CLOSED

    def report(self, error: Exception) -> None:
        """Take what a subscriber has raised; from any thread."""
        if self.thread.here():
            self.reports.report(error)
        elif not self.thread.hand_over(self.reports.report, error):
            self.reports.log.unobserved(error)

    def message_refused(self, connection: Connection, error: Exception) -> None:
        """Take what a codec has raised. If nobody observes it, it ends the connection, as a violation does.

        So a server that sends what does not decode does not end a client that was told to come back.
        """
        if self._renew is None or self.reports.observed or parted(error, Close)[0] is not None:
            self.reports.report(error)
            return
        close = close_for(error)
        connection.begin_closing(close, close)
        self.connection_ending(connection, error)
        self.reports.note(error)

    def note(self, error: Exception) -> None:
        """Take what closes nothing, or no more than closes already."""
        self.reports.note(error)

    def take_in_hand(self) -> None:
        """Count an item that an operator works on; from any thread."""
        with counting:
            self.in_hand += 1

    def let_go(self) -> None:
        """Count it as done; the end may have waited for it."""
        with counting:
            self.in_hand -= 1
        if self.close_cause is not None and not self.in_hand:
            self.thread.run_once(self._cut)

    @property
    def congested(self) -> bool:
        """Whether the peer reads slower than we write, or not at all for now."""
        return self.outgoing.offline if self.connection is None else self.connection.congested

    @property
    def is_lost(self) -> bool:
        """Whether the present connection is lost, and its end waits for messages that came before."""
        return self.connection is not None and self.connection.is_lost

    def transport_lost(self, connection: Connection) -> None:
        """End the holds that wait for the peer to read, unless another connection has it read."""
        if connection is self.connection:
            self.outgoing.end_waits()

    def connection_lost(self, error: ConnectionLost) -> None:
        """Report that a connection was lost without a close frame."""
        if self.close_cause is None:
            self.reports.lost(error)

    def connection_ending(self, connection: Connection, because: Exception) -> None:
        """Close with the present connection, or go offline if another one follows."""
        if connection is not self.connection or self.close_cause is not None:
            return
        assert connection.cause is not None
        announce = None
        try:
            if isinstance(because, Close):
                self.reports.tell(("leave", because))
            self._say_never_read(connection)
            if self._renew is not None:
                announce = self._renew(because)
        finally:
            if announce is None:
                self._begin_closing(connection.cause, SocketPhase.CLOSING)
                self._perform(
                    self.incoming.readers.end, self.outgoing.stop, self._give_up_queue, connection.wire.resume
                )
        if announce is not None:
            self.enter(SocketPhase.OFFLINE)
            self.connection = None
            self.outgoing.disconnected(connection)
            announce()

    def connection_closed(self, connection: Connection) -> None:
        """Report what may not have arrived; end with the last connection."""
        assert connection.cause is not None
        if self.close_cause is None:  # it was told before, unless another one follows, or an exception came between
            self.connection_ending(connection, connection.cause)
        self._connections = tuple([other for other in self._connections if other is not connection])
        if connection.receipts is not None:
            forgotten = connection.receipts.forgotten
            self.reports.give_back(connection.receipts.unconfirmed(), connection.refusal)
            if forgotten:
                self.reports.log.forgotten(forgotten)
        if self.phase is SocketPhase.CLOSING and not self._connections:
            self._finish()
        else:
            self.reports.tell(("close", connection.cause))
            self._say_never_read(connection)

    def work_over(self) -> None:
        """Forget the work of the handler: it is done."""
        self.work = None


class Streaming(abc.ObserverBase[Any], abc.DisposableBase):
    """Sends what a handler streams, and is its subscription: disposing that closes the socket, too."""

    __slots__ = ("__dict__", "_disposable", "_has_ended", "_life", "_outgoing", "is_disposed", "on_next")

    def __init__(self, life: Lifecycle) -> None:
        self._life = life
        self._outgoing = life.outgoing
        self.on_next: abc.OnNext[Any] = life.outgoing.on_next  # pyright: ignore[reportIncompatibleMethodOverride]
        self._disposable: abc.DisposableBase | None = None
        self._has_ended = False
        self.is_disposed = False

    def begin(self, observable: Observable[Any], scheduler: abc.SchedulerBase) -> None:
        """Subscribe; what ends meanwhile is disposed behind."""
        self._disposable = subscribe_directly(observable, self, scheduler)
        if self._has_ended:
            self._leave()

    def on_error(self, error: Exception) -> None:
        """Close with 1011, or as the error says."""
        self.fail(error)

    def fail(self, error: Exception) -> bool:
        """Close with 1011, or as the error says, unless this has ended; tell whether it had not."""
        if self._has_ended:
            return False
        self._end()
        try:
            self._outgoing.on_error(error)
        finally:
            self._leave()
        return True

    def on_completed(self) -> None:
        """Close with 1000, or as the source did."""
        if not self._has_ended:
            self._end()
            try:
                if self._life.close_cause is None:
                    self._outgoing.on_completed()
            finally:
                self._leave()

    def dispose(self) -> None:
        """Leave, and close the socket; once more does nothing."""
        if not self.is_disposed:
            self.is_disposed = True
            self._end()
            life = self._life
            del self._life  # which has this, too
            try:
                self._leave()
            finally:
                life.dispose()

    def _end(self) -> None:
        self._has_ended = True
        self.on_next = noop

    def _leave(self) -> None:
        disposable, self._disposable = self._disposable, None
        if disposable is not None:
            disposable.dispose()
