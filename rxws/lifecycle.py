"""The life of one socket: opening, reading under holds, failing, closing, ended. The `Endpoint` of its wire."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from reactivex import Observable, abc

from rxws.broadcast import Outcome
from rxws.closing import Close
from rxws.disposal import watch
from rxws.error_stream import Errors
from rxws.errors import ConnectionLost, DecodeError, HeartbeatTimeout, ProtocolError, close_for
from rxws.heartbeat import Heartbeat
from rxws.incoming import Incoming
from rxws.options import Settings
from rxws.outgoing import Outgoing
from rxws.rate import Rate
from rxws.scheduling import LoopScheduler
from rxws.threads import LoopThread
from rxws.wire import Binary, Ping, Text, Wire

logger = logging.getLogger("rxws")


class Lifecycle:
    """Joins the three streams of a socket with its wire, and ends them, once and in order.

    The first cause of the end wins: a close of ours, a close of the peer's, a violation, the connection's loss.
    """

    def __init__(self, settings: Settings, protocol: str | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.settings = settings
        self.protocol = protocol
        self.thread = LoopThread(loop)
        self.incoming = Incoming[Any](self.report, self._first_subscriber)
        self.codec = settings.codec_for(protocol)
        self.outgoing = Outgoing[Any](self, self.thread, settings, self.codec, self.report)
        self.errors = Errors(self.thread, _log, self.report)
        self.closed = Outcome[Close](_log)
        self.undelivered = Outcome[Any](_log)
        self.wire: Wire | None = None
        self.heartbeat: Heartbeat | None = None
        self.received = self.received_bytes = self.sent = self.sent_bytes = 0
        self.close_cause: Close | None = None
        self.subscription: abc.DisposableBase | None = None
        self._answer: Close | None = None
        self._ping: bytes | None = None
        self._rate = Rate(settings.message_rate) if settings.message_rate else None
        self._holds = 1  # until the first subscriber
        self._at_end: list[Callable[[], object]] = []
        self._lost: list[Any] = []
        self._deadline: asyncio.TimerHandle | None = None
        self._ended = False

    # Opening

    def open(self, wire: Wire) -> None:
        """Begin: the handshake is done. What was sent or closed before follows now."""
        self.wire = wire
        if self.close_cause is not None:
            self._start_deadline()
        elif self.settings.heartbeat is not None:
            self.heartbeat = Heartbeat(
                self.thread.loop,
                self.settings.heartbeat,
                ping=self._send_ping,
                blind=lambda: wire.blind,
                on_timeout=self._missed_heartbeat,
            )
        fresh = self.settings.overflow not in ("close", "drop_oldest", "drop_newest")
        if self._holds:
            wire.hold()
        wire.start(self, fresh=fresh)
        wire.wake()

    def abandon(self) -> None:
        """End a socket whose handshake failed."""
        if self.wire is None and not self._ended:
            self.close_cause = self.close_cause or Close.received(1006)
            self._end()

    def own(self, *disposables: abc.DisposableBase) -> None:
        """Take charge of disposables: they go when the socket goes, and the socket goes when one of them does."""
        for disposable in disposables:
            watch(disposable, self.dispose)
            self.at_end(disposable.dispose)

    def stream(self, observable: Observable[Any]) -> None:
        """Send what an Observable emits, on the event loop's scheduler; its end is the socket's."""
        self.subscription = observable.subscribe(self.outgoing, scheduler=LoopScheduler(self.thread.loop))
        self.own(self.subscription)

    def at_end(self, action: Callable[[], object]) -> None:
        """Run an action when the socket ends, just before `closed` tells; at once if it has."""
        if self._ended:
            action()
        else:
            self._at_end.append(action)

    # Holds

    def hold(self) -> None:
        """Hold reading, once more."""
        self._holds += 1
        if self._holds == 1 and self.wire is not None:
            self.wire.hold()

    def release(self) -> None:
        """End one hold; after the last one reading goes on."""
        self._holds -= 1
        if self._holds == 0 and self.wire is not None and not self._ended:
            self.wire.resume()

    def _first_subscriber(self) -> None:
        self.thread.run(self.release)

    # Closing

    def close(self, close: Close, *, flush: bool = True) -> None:
        """Begin to close, if nothing has yet: send what is queued (`flush`) and `close`, within the deadline."""
        self._begin_close(close, answer=close, flush=flush)

    def _begin_close(self, cause: Close, *, answer: Close | None, flush: bool) -> None:
        if self.close_cause is not None:
            return
        self.close_cause, self._answer = cause, answer
        self.incoming.end()
        self.outgoing.stop()
        if not flush:
            self._lost = self.outgoing.discard()
        if self.heartbeat is not None:
            self.heartbeat.stop()
        if self.wire is not None:
            self._start_deadline()
            self.wire.wake()

    def dispose(self) -> None:
        """Close with 1000; from any thread."""
        self.thread.run(self.close, Close())

    def report(self, error: Exception) -> None:
        """Emit an error that a socket survives if anyone observes `errors`; if nobody does, log it and close."""
        if isinstance(error, Close):
            self.close(error)
        elif self.errors.observed:
            self.errors.emit(error)
        else:
            _log(error)
            self.close(close_for(error))

    def fail(self, error: Exception) -> None:
        """Report an error that no socket survives, and close with its code."""
        self.report(error)
        self.close(close_for(error))

    def overflow(self) -> None:
        """Close because the peer reads too slowly; what waits would only make it slower."""
        self.close(Close(1013, "Too Slow"), flush=False)

    def _start_deadline(self) -> None:
        self._deadline = self.thread.loop.call_later(self.settings.close_timeout, self.abort)

    def abort(self) -> None:
        """Drop the connection at once."""
        if self.wire is not None and not self._ended:
            self.wire.abort()

    def _lose(self, error: ConnectionLost) -> None:
        """Note that the peer is gone: an error for those who observe, a line at DEBUG for the others."""
        if self.close_cause is None:
            if self.errors.observed:
                self.errors.emit(error)
            else:
                logger.debug("%s", error, exc_info=error)
        self._begin_close(Close.received(1006), answer=None, flush=False)

    def _missed_heartbeat(self) -> None:
        self._lose(HeartbeatTimeout("the peer gave no sign of life after a ping"))
        self.abort()

    def _end(self) -> None:
        assert self.close_cause is not None
        self._ended = True
        if self._deadline is not None:
            self._deadline.cancel()
        self.incoming.end()
        self.outgoing.stop()
        self.errors.end()
        self.undelivered.settle(*self._lost, *self.outgoing.discard())
        actions, self._at_end = self._at_end, []
        for action in actions:
            _call(action)
        self.closed.settle(self.close_cause)

    # The endpoint of the wire

    @property
    def congested(self) -> bool:
        """Whether the peer reads slower than we write."""
        return self.wire is not None and self.wire.congested

    def wake(self) -> None:
        """Tell the wire that something waits."""
        if self.wire is not None:
            self.wire.wake()

    def take(self) -> Text | Binary | Ping | Close | None:
        """Give the wire the next frame: a ping, what is queued, the close."""
        if self._ping is not None and self.heartbeat is not None and self.close_cause is None:
            data, self._ping = self._ping, None
            self.heartbeat.ping_taken()
            return Ping(data)
        frame = self.outgoing.next_frame()
        if frame is not None:
            self.sent += 1
            self.sent_bytes += len(frame.data)
            return frame
        answer, self._answer = self._answer, None
        return answer

    def message_received(self, data: str | bytes) -> None:
        """Count, decode and emit a message."""
        if self.close_cause is not None:
            return
        self.received += 1
        self.received_bytes += len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())
        self.sign_of_life()
        if self._rate is not None and not self._rate.admits(self.thread.loop.time()):
            self.close(Close(1008, "Message Rate Exceeded"))
            return
        try:
            message = self.codec.decode(data)
        except Exception as cause:
            error = DecodeError(data)
            error.__cause__ = cause
            self.report(error)
        else:
            self.incoming.emit(message)

    def sign_of_life(self) -> None:
        """Note that the peer lives."""
        if self.heartbeat is not None:
            self.heartbeat.alive()

    def pong_received(self, data: bytes) -> None:
        """Note a pong."""
        if self.heartbeat is not None:
            self.heartbeat.pong(data)

    def close_received(self, close: Close) -> None:
        """Answer the peer's close with its code; what was queued will not be read any more."""
        self._begin_close(close, answer=Close() if close.code == 1005 else close, flush=False)

    def protocol_violated(self, error: Exception, close: Close) -> None:
        """Report what the peer did, and fail the connection (RFC 6455, section 7.1.7)."""
        if self.close_cause is None:
            self.close(close, flush=False)
            violation = ProtocolError(str(error), close.code)
            violation.__cause__ = error
            self.report(violation)

    def connection_lost(self, error: BaseException | None) -> None:
        """End the socket."""
        lost = ConnectionLost("the connection ended without a close frame")
        lost.__cause__ = error
        self._lose(lost)
        self._end()

    def _send_ping(self, data: bytes) -> None:
        self._ping = data
        self.wake()


def _call(function: Callable[[], object]) -> None:
    try:
        function()
    except Exception as error:
        _log(error)


def _log(error: Exception) -> None:
    blame_peer = isinstance(error, (DecodeError, ProtocolError))
    logger.log(logging.WARNING if blame_peer else logging.ERROR, "%r, which nobody observed", error, exc_info=error)
