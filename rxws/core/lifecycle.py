"""The life of one socket: its three streams, the holds on reading, and how everything ends, once and in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from reactivex import Observable, abc

from rxws.close import Close
from rxws.core.connection import Connection
from rxws.core.log import SERVER, SocketLog
from rxws.core.outgoing import Outgoing
from rxws.core.reports import Reports
from rxws.core.streams import Incoming
from rxws.core.wire import Wire
from rxws.errors import ConnectionLost
from rxws.options import Settings
from rxws.rx.broadcast import Outcome
from rxws.rx.disposal import Linked, on_dispose
from rxws.rx.loop_thread import LoopThread
from rxws.rx.scheduler import LoopScheduler
from rxws.stats import Counters


class Renewal(Protocol):
    """What brings a socket another connection when it has lost one."""

    def follows(self, because: Exception) -> bool:
        """Tell whether another connection will be tried, and begin to."""
        ...


class Registry(Protocol):
    """Who keeps a list of sockets."""

    def remove(self, life: Lifecycle) -> None:
        """Take a socket off it, since that has ended."""
        ...


class Lifecycle:
    """Joins the three streams of a socket with its connection, and ends them, once and in order.

    A socket of a server has one connection. One with a `renewal` has one after the other; between them it is
    offline, and what is sent waits.
    """

    __slots__ = (
        *("_answer", "_at_end", "_connections", "_deadline", "_ended", "_holds", "_opening", "_renewal"),
        *("close_cause", "closed", "connection", "counters", "incoming", "outgoing", "protocol", "registry"),
        *("reports", "settings", "subscription", "thread"),
    )

    def __init__(
        self,
        settings: Settings,
        protocol: str | None = None,
        *,
        log: SocketLog | None = None,
        renewal: Renewal | None = None,
    ) -> None:
        log = log or SocketLog(SERVER)
        self.thread = LoopThread(asyncio.get_running_loop())
        self.reports = Reports(self.thread, log, settings.max_buffered, self.close)
        report = self.reports.report
        self.settings = settings
        self.protocol = protocol
        self.counters = Counters()
        self.incoming: Incoming[Any] = Incoming(report, self._first_subscriber)
        codec = settings.codec_for(protocol if renewal is None else next(iter(settings.protocols), None))
        self.outgoing: Outgoing[Any] = Outgoing(
            self, self.thread, settings, codec, self.counters, report, returns=renewal is not None
        )
        self.closed: Outcome[Close] = Outcome(log.unobserved)
        self.close_cause: Close | None = None
        """Why the socket ends, once it does."""
        self.connection: Connection | None = None
        """The connection that takes what is sent, if there is one."""
        self.subscription: abc.DisposableBase | None = None
        self.registry: Registry | None = None
        self._renewal = renewal
        self._answer: Close | None = None
        self._connections: tuple[Connection, ...] = ()
        self._opening = True  # a connection is coming, if only to send what is queued
        self._holds = 1  # until the first subscriber
        self._at_end: tuple[Callable[[], object], ...] = ()
        self._deadline: asyncio.TimerHandle | None = None
        self._ended = False

    # Opening

    def open(self, wire: Wire, protocol: str | None = None) -> Connection:
        """Begin on a wire whose handshake is done. What was sent or closed before follows now."""
        codec = self.settings.codec_for(protocol)
        connection = Connection(self, wire, self.settings, codec, confirmed=self._renewal is not None)
        self.outgoing.connected(codec, wire, confirmed=connection.receipts is not None)
        self.protocol, self.connection = protocol, connection
        self._connections += (connection,)
        self._opening = False
        self.counters.opened = self.counters.opened or time.monotonic()
        self.reports.log.opened(protocol, wire.remote)
        if self.close_cause is not None:
            connection.finish(self.close_cause, self._answer, flush=True)
        self.reports.tell(("open", protocol))
        connection.start(held=self.held and self.close_cause is None)
        return connection

    def abandon(self) -> None:
        """End a socket that will have no connection any more, if it has none."""
        self._opening = False
        if not self._connections and not self._ended:
            self.close_cause = self.close_cause or Close.received(1006)
            self._end()

    def own(self, *disposables: abc.DisposableBase) -> None:
        """Take charge of disposables: they go when the socket goes, and the socket goes when one of them does."""
        for disposable in disposables:
            on_dispose(disposable, self.dispose)
            self.at_end(disposable.dispose)

    def stream(self, observable: Observable[Any]) -> None:
        """Send what an Observable emits, on the event loop's scheduler; its end is the socket's."""
        scheduler = LoopScheduler(self.thread.loop)
        self.subscription = Linked(observable.subscribe(self.outgoing, scheduler=scheduler), self)
        if self._ended:
            self.subscription.dispose()

    def at_end(self, action: Callable[[], object]) -> None:
        """Run an action when the socket ends, just before `closed` tells; at once if it has."""
        if self._ended:
            action()
        else:
            self._at_end += (action,)

    # Holds

    @property
    def held(self) -> bool:
        """Whether nothing is read for now."""
        return self._holds > 0

    def hold(self) -> None:
        """Hold reading, once more."""
        self._holds += 1
        if self._holds == 1 and self.close_cause is None:
            for connection in self._connections:
                connection.wire.hold()

    def release(self) -> None:
        """End one hold; after the last one reading goes on."""
        self._holds -= 1
        if self._holds == 0 and self.close_cause is None:
            for connection in self._connections:
                connection.wire.resume()

    def _first_subscriber(self) -> None:
        self.thread.run(self.release)

    # Closing

    def close(self, close: Close, *, flush: bool = True) -> None:
        """Begin to close, if nothing has yet: send what is queued (`flush`) and `close`, within the deadline."""
        if self.close_cause is not None:
            return
        self.close_cause = self._answer = close = close.passed_on()
        self.incoming.end()
        self.outgoing.stop()
        if not flush:
            self.reports.give_back(self.outgoing.discard())
        for connection in self._connections:
            connection.finish(close, close, flush=flush and connection is self.connection)
            connection.wire.resume()
        if self.outgoing.offline:
            self._close_offline()

    def _close_offline(self) -> None:
        """Wait within the deadline for a connection if there is something to send; end soon if not."""
        loop = self.thread.loop
        if not self.outgoing.buffered[0]:
            loop.call_soon(self.abandon)
        self._deadline = loop.call_later(self.settings.close_timeout, self.give_up)

    def dispose(self) -> None:
        """Close with 1000; from any thread."""
        self.thread.run(self.close, Close())

    def overflow(self) -> None:
        """Close because the peer reads too slowly; what waits would only make it slower."""
        close = Close(1013, "Too Slow")
        if self._renewal is None or self.connection is None:
            self.close(close, flush=False)
        else:
            self.connection.finish(close, close, flush=False)
            self.ending(self.connection, close)

    def give_up(self) -> None:
        """End at once what has not ended."""
        if not self._ended:
            self.close_cause = self.close_cause or Close.received(1006)
            for connection in self._connections:
                connection.wire.abort()
            self.abandon()

    def _end(self) -> None:
        assert self.close_cause is not None
        self._ended = True
        if self._deadline is not None:
            self._deadline.cancel()
        self.incoming.end()
        self.outgoing.stop()
        self.reports.errors.end()
        self.outgoing.dropped.end()
        self.reports.give_back(self.outgoing.discard())
        self.reports.undelivered.end()
        actions, self._at_end = self._at_end, ()
        if self.subscription is not None:
            self._call(self.subscription.dispose)
        for action in actions:
            self._call(action)
        self.counters.ended = time.monotonic()
        by_peer = self.connection is not None and self.connection.closed_by_peer
        self.reports.log.closed(self.close_cause, self.counters, dropped=self.outgoing.dropped_count, by_peer=by_peer)
        if self.registry is not None:
            self.registry.remove(self)
        self.closed.settle(self.close_cause)

    def _call(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:
            self.reports.log.unobserved(error)

    # The owner of outgoing and of the connections, and the source of what they emit

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self._ended

    def report(self, error: Exception) -> None:
        """Take what a subscriber has raised."""
        self.reports.report(error)

    def lost(self, error: ConnectionLost) -> None:
        """Take the error of a connection that is gone without a close frame."""
        if self.close_cause is None:
            self.reports.lost(error)

    @property
    def congested(self) -> bool:
        """Whether the peer reads slower than we write, or not at all for now."""
        return self.outgoing.offline if self.connection is None else self.connection.wire.congested

    def ending(self, connection: Connection, because: Exception) -> None:
        """End the socket with its connection, unless another one follows."""
        if connection is not self.connection or self.close_cause is not None:
            return
        if isinstance(because, Close):
            self.reports.tell(("leave", because))
        if self._renewal is not None:
            self.connection, self._opening = None, True
            self.outgoing.disconnected(connection)
            if self._renewal.follows(because):
                return
            self.connection, self._opening, self.outgoing.offline = connection, False, False
        self.close_cause = connection.cause
        self.incoming.end()
        self.outgoing.stop()
        self.reports.give_back(self.outgoing.discard())
        connection.wire.resume()

    def ended(self, connection: Connection) -> None:
        """Report what may not have arrived; end with the last connection."""
        self._connections = tuple(other for other in self._connections if other is not connection)
        if connection.receipts is not None:
            self.reports.give_back(connection.receipts.unconfirmed())
        if self.close_cause is not None and not self._connections and not (self._opening and self._deadline):
            self._end()
        else:
            assert connection.cause is not None
            self.reports.tell(("close", connection.cause))
