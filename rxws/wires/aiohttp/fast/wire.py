"""The wire that is a protocol of its own: no task, one read and one write for each chunk of input.

It takes the place of aiohttp's protocol on the connection's transport, feeds what comes to aiohttp's parser, and hands
the messages to its endpoint within the same callback; what the endpoint answers leaves together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from aiohttp import ClientWebSocketResponse, WSMsgType

from rxws.close import Close
from rxws.core.wire import Endpoint, Frame, close_received
from rxws.wires.aiohttp.fast.chunks import CHUNK, MESSAGES_A_TURN, PIECE, SLICE, ReadBuffer
from rxws.wires.aiohttp.fast.direct_queue import BINARY, TEXT, DirectQueue, next_message
from rxws.wires.aiohttp.fast.writer import FrameWriter, Turns
from rxws.wires.aiohttp.header_watch import HeaderWatch
from rxws.wires.aiohttp.inside import (
    AnyWebSocket,
    end_writing,
    keep_fresh,
    protocol_of,
    release,
    remote_of,
    take_over,
    transport_of,
)
from rxws.wires.aiohttp.read_ahead import ReadAhead

MUCH: Final = 8 * 1024
"""Bytes of a chunk whose answers do not wait for other connections': memory that is used again at once is cheaper."""

_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[tuple[memoryview, memoryview], Turns]] = WeakKeyDictionary()


class FastWire(asyncio.BufferedProtocol):
    """A prepared aiohttp WebSocket, of either side, without compression."""

    __slots__ = (  # a dictionary of so many would take 1.5 KiB
        *("_aiohttp", "_close_timeout", "_deadline", "_deaf", "_direct", "_endpoint", "_held", "_last", "_loop"),
        *("_parse", "_parser", "_queue", "_read_ahead", "_read_buffer", "_receive", "_run", "_scheduled", "_started"),
        *("_transport", "_violated", "_watch", "_writer", "_ws", "offer"),
    )

    def __init__(self, ws: AnyWebSocket, parser: Any, watch: HeaderWatch, close_timeout: float) -> None:
        take_over(ws)
        self._ws = ws
        self._transport = transport_of(ws)
        self._aiohttp = protocol_of(ws)
        self._parser = parser
        self._parse = watch.parser.feed_data  # aiohttp's WebSocketReader.feed_data, which calls DirectQueue.feed_data
        self._watch = watch
        self._queue: Any = cast("Any", ws)._reader
        self._direct = self._queue if isinstance(self._queue, DirectQueue) else None
        self._close_timeout = close_timeout
        self._loop = asyncio.get_running_loop()
        if self._loop not in _shared:
            bytes(PIECE)  # made and freed
            whole = memoryview(bytearray(CHUNK))
            _shared[self._loop] = (whole[:SLICE], whole), Turns()
        buffers, turns = _shared[self._loop]
        self._read_buffer = ReadBuffer(self._transport, *buffers)
        self._writer = FrameWriter(self._transport, turns, masks=isinstance(ws, ClientWebSocketResponse))
        self.offer = self._writer.offer  # FrameWriter.offer
        self._read_ahead: ReadAhead | None = None
        self._last: tuple[Callable[[], object], ...] = ()  # what is done when all that is parked has been delivered
        self._deadline: asyncio.TimerHandle | None = None
        self._started = self._held = False
        self._scheduled = False  # messages that are there already will be handed on
        self._deaf = False  # nothing that the peer sends matters any more
        self._violated = False

    @property
    def remote(self) -> str | None:
        """The peer's address."""
        return remote_of(self._ws)

    @property
    def congested(self) -> bool:
        """Whether the kernel has refused bytes."""
        return self._writer.congested

    @property
    def blind(self) -> bool:
        """Whether nothing is read, since the read-ahead of a hold is used up."""
        return self._read_ahead is not None and self._read_ahead.full

    @property
    def unfinished(self) -> float | None:
        """Since when a message is on its way."""
        return self._watch.since

    def start(self, endpoint: Endpoint, *, fresh: bool) -> None:
        """Take the place of aiohttp's protocol; what that has read comes soon."""
        self._endpoint = endpoint
        self._receive = endpoint.message_received  # Connection.message_received
        self._run = endpoint.context.run  # the Context names the socket as the source of its messages
        self._writer.start(endpoint.take, self._leave)  # Connection.take
        self._started = True
        if fresh:
            keep_fresh(self._ws)
        self._watch.begin(endpoint.part_received)
        if self._aiohttp.connected:
            self._transport.set_protocol(self)
            self._continue_soon()
        else:
            self._loop.call_soon(self._ended, None)

    def hold(self) -> None:
        """Park what comes, and stop reading when the read-ahead is used up."""
        self._held = True
        if self._direct is not None:
            self._direct.receive = None

    def resume(self) -> None:
        """Deliver what was parked, soon."""
        self._held = False
        if self.blind:
            self._watch.excuse()
        self._continue_soon()

    def ignore(self) -> None:
        """Read only to see the peer leave."""
        self._deaf = self._violated = True
        self._queue._buffer.clear()
        self._read_buffer.resume()

    def abort(self) -> None:
        """Drop the connection."""
        self._writer.congested = True
        self._transport.abort()
        if not self._started:
            release(self._ws)

    # Reading

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the buffer: what comes is used up before anybody else asks for it."""
        return self._read_buffer.lent

    def buffer_updated(self, nbytes: int) -> None:
        """Parse a chunk, and hand on its messages."""
        if self._deaf:
            return
        tap, outlet, watch, lent = self._direct, self._writer, self._watch, self._read_buffer.lent
        data = lent[:nbytes].tobytes()
        passing = False
        if tap is None or tap.receive is None:
            self._parser.feed_data(data)
        else:
            tap.left, tap.weight = MESSAGES_A_TURN, 0
            outlet.busy = True
            self._run(self._parse, data)
            outlet.busy = False
            if tap.weight != nbytes or watch.since is not None:  # more than whole messages, or longer ones
                watch.parsed(data)
            passing = tap.receive is not None
        if not passing:
            if not self._scheduled:
                self._run(self._dispatch)
        elif outlet.taken or outlet.awake:
            if nbytes > MUCH or outlet.alone:
                outlet.flush()
            else:
                outlet.write_soon()
        if nbytes == len(lent):
            self._read_buffer.filled(watch.frames if tap is None else max(watch.frames, MESSAGES_A_TURN - tap.left))
            if self._read_buffer.paused:
                self._continue_soon()

    def eof_received(self) -> None:
        """Take note that the peer has gone: the transport closes now."""
        self._writer.congested = True

    def _continue_soon(self) -> None:
        if not self._scheduled and self._started:
            self._scheduled = True
            self._loop.call_soon(self._dispatch, context=self._endpoint.context)

    def _dispatch(self) -> None:
        """Hand on what is queued and parked, as much as a turn of the event loop may have; then write."""
        self._scheduled = False
        queue, parked, outlet = self._queue, self._read_ahead, self._writer
        arrived = queue._buffer
        outlet.busy = True
        for _ in range(MESSAGES_A_TURN):
            if parked and not self._held:
                self._receive(parked.take())
            elif arrived and not (parked and parked.full):
                kind, data, extra = next_message(queue)
                if kind is not TEXT and kind is not BINARY:
                    self._control(kind, data, extra)
                elif self._held or parked:
                    parked = self._read_ahead = parked or ReadAhead()
                    parked.put(data)
                else:
                    self._receive(data)
            else:
                break
        else:
            if arrived:
                self._read_buffer.pause()
            self._continue_soon()
        outlet.busy = False
        if self.blind:
            self._read_buffer.pause()
        if not arrived:
            self._read_buffer.resume()
            self._look_for_the_end()
        if self._direct is not None and not (arrived or parked or self._held or self._deaf):
            self._direct.receive = self._receive
        if outlet.taken or outlet.awake or outlet.pongs:
            outlet.write_soon()

    def _control(self, kind: WSMsgType, data: Any, extra: str) -> None:
        if kind is WSMsgType.PING:
            self._writer.pong(bytes(data))
            self._endpoint.ping_received()
        elif kind is not WSMsgType.CLOSE:
            self._endpoint.pong_received(bytes(data))
        else:
            self._deaf = True
            self._queue._buffer.clear()  # nothing counts after a close frame (RFC 6455, section 5.5.1)
            if self._writer.closing:
                self._transport.close()
            else:
                self._at_last(lambda: close_received(self._endpoint, data, extra))

    def _look_for_the_end(self) -> None:
        if not self._deaf and (error := self._queue.exception()) is not None:
            self._deaf = True
            self._at_last(lambda: self._violation(error))
        if self._last and not self._read_ahead:
            self._finish()

    def _violation(self, error: Exception) -> None:
        self._violated = True
        self._endpoint.protocol_violated(error, Close(int(getattr(error, "code", 1002))))

    # Writing

    def wake(self) -> None:
        """Write what the endpoint has."""
        self._writer.wake()

    def flush(self) -> None:
        """Write what waits."""
        self._writer.flush()

    def withdraw(self) -> list[Frame]:
        """Give back what was taken, and is not written."""
        return self._writer.withdraw()

    def pause_writing(self) -> None:
        """Take note that the kernel has refused bytes."""
        self._writer.congested = True

    def resume_writing(self) -> None:
        """Take note that it has taken them."""
        self._writer.congested = False
        self._endpoint.sign_of_life()
        self._writer.flush()

    def _leave(self) -> None:
        """Close after our close frame, if the peer's was there; wait for the peer to go, if it broke the protocol.

        To close with unread bytes around resets the connection, and may destroy our frame before the peer has read it.
        """
        if self._violated:
            end_writing(self._transport)
        elif self._deaf:  # not at once: asyncio's transport may be about to say that it has written all
            self._loop.call_soon(self._transport.close)

    # Ending

    def connection_lost(self, exc: Exception | None) -> None:
        """End, after what was parked."""
        self._aiohttp.connection_lost(exc)
        self._watch.end()
        self._deaf = True
        self._writer.busy = False  # which a handler that raised a BaseException has left behind
        self._ended(exc)

    def _ended(self, error: Exception | None) -> None:
        self._writer.congested = True
        release(self._ws)
        self._at_last(lambda: self._endpoint.connection_lost(error))

    def _at_last(self, action: Callable[[], object]) -> None:
        """Act when what was parked is delivered: the end must not overtake it, nor wait for ever."""
        self._last = (*self._last, action)
        if self._read_ahead or self._queue._buffer:
            self._deadline = self._deadline or self._loop.call_later(self._close_timeout, self._finish)
        elif not self._writer.busy:
            self._finish()

    def _finish(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        while self._last:
            action, self._last = self._last[0], self._last[1:]
            action()
