"""The wire that is a protocol of its own: no task, one read and one write for each chunk of input.

It takes the place of aiohttp's protocol on the connection's transport, feeds what comes to aiohttp's parser, and hands
the messages to its endpoint within the same callback; what the endpoint answers leaves together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from aiohttp import ClientWebSocketResponse, WSMsgType
from aiohttp._websocket.helpers import websocket_mask

from rxws.close import Close
from rxws.core.phases import Phased, WirePhase
from rxws.core.wire import Endpoint, Frame, Rest, close_received
from rxws.errors import raise_fatal
from rxws.rx.foreign import as_error, call
from rxws.rx.loop_thread import here
from rxws.wires.aiohttp.fast.chunks import INFLATED_A_TURN, MESSAGES_A_TURN, ReadBuffer, SharedBuffer
from rxws.wires.aiohttp.fast.direct_queue import BINARY, PARSES_AHEAD, TEXT, DirectQueue, Receiver, next_message
from rxws.wires.aiohttp.fast.framing import BINARY_FRAME, FIRST_BYTES, HEADER, LONE, TEXT_FRAME, text_in
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
from rxws.wires.aiohttp.marks import MarkFilter
from rxws.wires.deflate import InflateError
from rxws.wires.pieces import keep_pieces
from rxws.wires.read_ahead import ReadAhead

READING, PEER_CLOSED = WirePhase.READING, WirePhase.PEER_CLOSED

MUCH: Final = 8 * 1024
"""Bytes of a chunk whose answers do not wait for other connections': memory that is used again at once is cheaper."""

_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[SharedBuffer, Turns]] = WeakKeyDictionary()


class _FirstInWire(Phased, asyncio.BufferedProtocol):
    """What each message needs, side by side in memory: slots of a base class come first, those of one class by name."""

    __slots__ = ("_endpoint", "_lone", "_read_buffer", "_writer", "phase")


class FastWire(_FirstInWire):
    """A prepared aiohttp WebSocket, of either side."""

    __slots__ = (  # a dictionary of them would take 1.5 KiB
        *("_aiohttp", "_close_timeout", "_deadline", "_direct", "_headers", "_held", "_last", "_looks_later"),
        *("_loop", "_marks", "_most_lone", "_overdue", "_parse", "_parser", "_queue", "_read_ahead"),
        *("_relieved", "_scheduled", "_transport", "_ws", "offer", "offer_text"),
    )
    can_ping = True

    def __init__(self, ws: AnyWebSocket, parser: Any, watch: HeaderWatch, close_timeout: float) -> None:
        take_over(ws)
        self._ws = ws
        self._transport = transport_of(ws)
        self._aiohttp = protocol_of(ws)
        self._parser = parser
        self._parse = watch.parser.feed_data  # aiohttp's WebSocketReader.feed_data, which calls DirectQueue.feed_data
        self._headers = watch
        self._marks = watch.marks  # where messages are compressed
        inside: Any = ws
        self._queue: Any = inside._reader
        self._direct = self._queue if isinstance(self._queue, DirectQueue) else None
        self._looks_later = self._marks is None and not PARSES_AHEAD  # at the headers
        self._lone = -1  # bytes of the largest chunk that is looked at for one short text; fewer than none for now
        self._most_lone = LONE if self._direct is not None and self._marks is None and self._direct.takes_lone else -1
        self._close_timeout = close_timeout
        self._loop = asyncio.get_running_loop()
        try:
            shared, turns = _shared[self._loop]
        except KeyError:
            keep_pieces()
            shared, turns = _shared[self._loop] = SharedBuffer(self._loop), Turns()
        self._read_buffer: SharedBuffer | ReadBuffer = shared  # until it is filled, or is to be paused
        self._writer = FrameWriter(
            self._transport,
            turns,
            masks=isinstance(ws, ClientWebSocketResponse),
            deflate=None if self._marks is None else self._marks.deflation.deflate,
        )
        self.offer = self._writer.offer  # FrameWriter.offer
        self.offer_text = self._writer.offer_text if self._writer.as_is else None  # FrameWriter.offer_text
        self._read_ahead: ReadAhead | None = None
        self._last: tuple[Callable[[], object], ...] = ()  # done when all that was read ahead is delivered
        self._deadline: asyncio.TimerHandle | None = None
        self._overdue = False  # nothing that is read ahead is waited for any more
        self.phase = WirePhase.NEW
        self._held = False
        self._scheduled = False  # messages that are there already will be handed on
        self._relieved = False  # within a call that says that the transport has room

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
    def unread(self) -> int:
        """Messages that a hold keeps back."""
        return len(self._read_ahead or ())

    @property
    def unfinished(self) -> float | None:
        """Since when a message is on its way."""
        return self._headers.since

    def start(self, endpoint: Endpoint) -> None:
        """Take the place of aiohttp's protocol; what that has read comes soon."""
        self._endpoint = endpoint
        self._writer.start(endpoint, self)
        self.enter(READING)
        if self._direct is not None:
            self._direct.receiver = endpoint if self._marks is None else cast("Receiver", self)
            self._direct.wire, self._direct.watch = self, self._headers
        self._headers.begin(endpoint)
        if self._aiohttp.connected:
            self._transport.set_protocol(self)
            self._go_on()
        else:
            self._loop.call_soon(self._ended, None)

    def offer_within(self, room: Callable[[bool], int]) -> bool:
        """Have `offer` take only what there is `room` for."""
        self._writer.stay_within(room)
        return True

    def look_at_room(self) -> None:
        """Have `offer` ask for `room` before it takes anything."""
        self._writer.look_at_room()

    def put_back(self, rest: Rest) -> None:
        """Deliver it soon, before what is read ahead."""
        self._read_ahead = self._read_ahead or ReadAhead()
        self._read_ahead.put_back(rest)
        if self._direct is not None:
            self._direct.close()
        self._lone = -1
        self._continue_soon()

    def hold(self) -> None:
        """Read ahead, and stop reading when the read-ahead is used up."""
        self._held = True
        self._lone = -1
        if self._direct is not None:
            self._direct.close()

    def resume(self) -> None:
        """Deliver what was read ahead, soon."""
        if self._held:
            self._held = False
            if self.blind:
                self._headers.excuse()
            self._go_on()

    def ignore(self) -> None:
        """Read only to see the peer leave."""
        self.advance(WirePhase.IGNORING)
        self._drop_queued()
        self._read_on()

    def _drop_queued(self) -> None:
        if queued := self._queue._buffer:  # None before the first that is queued
            queued.clear()

    def abort(self) -> None:
        """Drop the connection, with all that was not delivered."""
        self._writer.congested = True
        self._drop_queued()
        self._read_ahead = None
        try:
            self._transport.abort()
        except BaseException as error:
            self._loop.call_soon(self.connection_lost, as_error(error, "a transport"))
            raise_fatal(error)
        if self.phase is WirePhase.NEW:
            release(self._ws)
        elif self.phase is WirePhase.LOST:
            self._loop.call_soon(self._finish)  # if it has waited for what was read ahead

    # Reading

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the buffer: what comes is used up before anybody else asks for it."""
        return self._read_buffer.lent

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on the messages of a chunk, and write the answers."""
        if self.phase is not READING:
            return
        if nbytes > self._lone or (text := text_in(self._read_buffer.memory, nbytes)) is None:
            self._parse_chunk(nbytes)
            return
        endpoint, writer = self._endpoint, self._writer
        writer.busy = here()
        try:  # in a context that names the socket as the source
            if endpoint.as_it_comes:
                counters = endpoint.counters
                counters.received += 1
                counters.received_bytes += nbytes - HEADER
                endpoint.context.run(endpoint.emit, text)
            else:
                endpoint.context.run(endpoint.message_received, text)
        finally:
            writer.busy = False
        if self._lone < 0:  # a hold has begun
            endpoint.context.run(self._go_on_without_passing)
        elif writer.taken or writer.awake or writer.pongs:
            writer.end_chunk(large=False)

    def _parse_chunk(self, nbytes: int) -> None:
        direct, writer, headers, lent = self._direct, self._writer, self._headers, self._read_buffer.lent
        context = self._endpoint.context  # which names the socket as the source
        data = lent[:nbytes].tobytes()
        end, passing = 0, False
        if direct is None or not direct.is_open:
            self._parser.feed_data(data)
        else:
            direct.left = MESSAGES_A_TURN
            writer.busy = here()
            try:
                if self._looks_later and (headers.since is None or (end := headers.skip_end(nbytes))):
                    context.run(self._read_frames, direct, data, end)
                else:
                    context.run(self._parser.feed_data, data)
            finally:
                writer.busy = False
                direct.chunk, direct.at = b"", 0
            passing = direct.is_open
            self._lone = self._most_lone if passing and headers.since is None else -1
        if passing:
            if writer.taken or writer.awake or writer.pongs:
                writer.end_chunk(large=nbytes > MUCH)
        else:
            context.run(self._go_on_without_passing)
        if nbytes == len(lent):
            passed = MESSAGES_A_TURN - direct.left if passing and direct is not None else 0
            own = self._own_buffer()
            own.filled(max(headers.frames, passed))
            if own.paused:
                self._continue_soon()

    def _read_frames(self, direct: DirectQueue, data: bytes, end: int) -> None:
        """Read a chunk that begins with a frame; or within a message, which ends there."""
        if end:
            direct.begin_within(data[:end], end)
            self._parse_part(direct, data[:end])
            if direct.exception() is not None:
                return
        end = self._read_messages(direct, data, end)
        if end < len(data):
            direct.chunk, direct.at = data[end:], 1
            self._parse_part(direct, direct.chunk)

    def _parse_part(self, direct: DirectQueue, data: bytes) -> None:
        self._parse(data)  # aiohttp's parser, which calls DirectQueue.feed_data
        if direct.at <= len(data):  # more than whole messages, or longer ones
            direct.finish()

    def _read_messages(self, direct: DirectQueue, data: bytes, at: int) -> int:
        """Hand on messages from that place of a chunk on, while each is whole and one frame; return where they end.

        The parser gets what follows. It would take longer for these: it does not tell about headers, which would need a
        look of their own.
        """
        endpoint, mask, most = self._endpoint, direct.mask, direct.surely_small
        counters, emit, passed, size = endpoint.counters, endpoint.emit, 0, len(data)
        while at + 4 <= size and direct.left > passed:  # which a hold sets to 0
            opcode, length, wide = FIRST_BYTES(data, at)
            length ^= mask  # from 128 on if it is masked, and should not be, or the other way around
            if length < 126:
                begin = at + 2
            else:
                begin, length = at + 4, wide if length == 126 else size
            if mask:
                begin += 4
            end = begin + length
            if end > size or length > most:
                break
            message: Any = data[begin:end]
            if mask:
                message = bytearray(message)
                websocket_mask(data[begin - 4 : begin], message)
            if opcode == TEXT_FRAME:
                try:
                    message = message.decode()
                except UnicodeDecodeError:
                    break
            elif opcode == BINARY_FRAME:
                message = bytes(message)
            else:
                break
            at = end
            passed += 1
            if endpoint.as_it_comes:
                counters.received += 1
                counters.received_bytes += length
                emit(message)
            else:
                endpoint.message_received(message)
        if direct.left:
            direct.left -= passed
        return at

    def _go_on_without_passing(self) -> None:
        if self.phase is PEER_CLOSED:  # its close frame has passed
            self._drop_queued()
            self._finish()
        elif not self._scheduled:
            self._dispatch()

    def _own_buffer(self) -> ReadBuffer:
        """Give the read buffer of a peer that is not as most are."""
        if isinstance(self._read_buffer, SharedBuffer):
            self._read_buffer = ReadBuffer(self._transport, self._read_buffer)
        return self._read_buffer

    def _read_on(self) -> None:
        if isinstance(self._read_buffer, ReadBuffer) and self._read_buffer.paused:
            self._read_buffer.resume()

    def eof_received(self) -> None:
        """Record that the peer has left: the transport closes now."""
        self._writer.congested = True

    def _go_on(self) -> None:
        """Let messages pass at once if none are there; else deliver those first, soon."""
        direct = self._direct
        if (
            direct is None
            or self.phase is not READING
            or self._queue._buffer
            or self._read_ahead
            or self._last
            or self._read_buffer.paused
            or direct.exception() is not None
        ):
            self._continue_soon()
        elif not self._held:
            direct.open()

    def _continue_soon(self) -> None:
        if not self._scheduled and self.phase is not WirePhase.NEW:
            self._scheduled = True
            self._loop.call_soon(self._dispatch, context=self._endpoint.context)

    def _dispatch(self) -> None:
        """Hand on what is there, as much as a turn of the event loop may have; then read on, and write."""
        self._scheduled = False
        arrived, writer = self._queue._buffer, self._writer
        writer.busy = here()
        try:
            left_over = self._hand_on()
        except BaseException:
            self._continue_soon()
            raise
        finally:
            writer.busy = False
        if left_over:
            self._continue_soon()
        if self.blind or (left_over and arrived):
            self._own_buffer().pause()
        if self.blind:
            writer.wake()  # it may have waited for a pong
        if not arrived:
            self._read_on()
            self._look_for_the_end()
            if self._direct is not None and self.phase is READING and not (self._read_ahead or self._held):
                self._direct.open()
        if writer.taken or writer.awake or writer.pongs:
            writer.write_soon()

    def _hand_on(self) -> bool:
        """Hand on what is read ahead, then what is queued; return whether a turn's share was not enough."""
        queue, marks, inflated = self._queue, self._marks, 0
        arrived = queue._buffer
        for _ in range(MESSAGES_A_TURN):
            ahead = self._read_ahead  # which a message may make, and put its rest back
            if ahead and not self._held:
                self._endpoint.message_received(ahead.take())
            elif not arrived or (ahead and ahead.full):
                return False
            else:
                kind, data, extra = next_message(queue)
                if kind is not TEXT and kind is not BINARY:
                    self._control(kind, data, extra)
                    continue
                receive = self._endpoint.message_received
                if self._held or ahead:
                    ahead = self._read_ahead = ahead or ReadAhead()
                    receive = ahead.put
                if marks is None:
                    receive(data)
                    continue
                try:
                    inflated += marks.hand_on(data, self._endpoint, receive)
                except InflateError as error:
                    self._refuse(error)
                    return False
                if inflated > INFLATED_A_TURN:
                    return True
        return True

    def message_received(self, data: Any) -> None:
        """Hand on a message that may be compressed, for the `DirectQueue`; a large one uses up more of the turn.

        Raises `InflateError`, which the parser then reports as one of its own.
        """
        size = cast("MarkFilter", self._marks).hand_on(data, self._endpoint, self._endpoint.message_received)
        direct = cast("DirectQueue", self._direct)
        direct.left = max(0, direct.left - size * MESSAGES_A_TURN // INFLATED_A_TURN)

    def _refuse(self, error: InflateError) -> None:
        """Fail the connection over a message in the queue; nothing behind it counts."""
        self._headers.ignore()
        self._drop_queued()
        self._queue.set_exception(error)

    def control_received(self, message: Any) -> None:
        """Take a control frame that passes the queue."""
        if self.phase is READING:
            self._control(*message)

    def _control(self, kind: WSMsgType, data: Any, extra: str) -> None:
        if kind is WSMsgType.PING:
            self._writer.pong(bytes(data))
            self._endpoint.ping_received()
        elif kind is not WSMsgType.CLOSE:
            self._endpoint.pong_received(bytes(data))
        else:
            self.advance(PEER_CLOSED)
            self._drop_queued()  # nothing counts after a close frame (RFC 6455, section 5.5.1)
            if self._writer.closing:
                self._close()
            else:
                self._at_last(partial(close_received, self._endpoint, data, extra))

    def _look_for_the_end(self) -> None:
        if self.phase is READING and (error := self._queue.exception()) is not None:
            self.enter(WirePhase.IGNORING)
            code = Close(int(getattr(error, "code", 1002)))
            self._at_last(lambda: self._endpoint.protocol_violated(error, code))
        if self._last and not self._read_ahead:
            self._finish()

    # Writing

    def wake(self) -> None:
        """Write what the endpoint has."""
        self._writer.wake()

    def flush(self) -> None:
        """Write what waits."""
        self._writer.flush()

    def keep_fresh(self, wanted: bool) -> None:
        """Keep each write and the kernel's share small, or no longer."""
        self._writer.keep_fresh(wanted)
        keep_fresh(self._ws, wanted)

    def withdraw(self) -> list[Frame]:
        """Give back what was taken, and is not written."""
        return self._writer.withdraw()

    def pause_writing(self) -> None:
        """Record that the kernel has refused bytes."""
        self._writer.congested = True

    def resume_writing(self) -> None:
        """Record that the kernel has taken them."""
        self._writer.congested = False
        self._relieved = True
        try:
            self._endpoint.relieved()
            self._writer.flush()
        finally:
            self._relieved = False

    def leave(self) -> None:
        """Close after our close frame, if the peer's was there; wait for the peer to go, if it broke the protocol.

        To close with unread bytes around resets the connection, and may destroy our frame before the peer has read it.
        """
        if self.phase is WirePhase.IGNORING:
            end_writing(self._transport)
        elif self.phase is PEER_CLOSED:
            if self._relieved:  # asyncio's transport is about to look whether it is closing
                self._loop.call_soon(self._close)
            else:
                self._close()

    # Ending

    def _close(self) -> None:
        call(self.fail, "a transport", self._transport.close)

    def fail(self, error: Exception) -> None:
        """Drop a connection whose transport has raised."""
        self._loop.call_exception_handler({"message": "a transport raised", "exception": error, "protocol": self})
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End, after what was read ahead."""
        try:
            self._aiohttp.connection_lost(exc)
        finally:
            self._ended(exc)

    def _ended(self, error: Exception | None) -> None:
        if self.phase is WirePhase.LOST:
            return
        self.enter(WirePhase.LOST)
        self._writer.congested = True
        try:
            self._headers.end()
            release(self._ws)
        finally:
            self._at_last(partial(self._lost, error))

    def _lost(self, error: BaseException | None) -> None:
        try:
            self._endpoint.connection_lost(error)
        finally:
            self._writer.detach()
            if self._direct is not None:
                self._direct.detach()

    def _at_last(self, action: Callable[[], object]) -> None:
        """Act when what was read ahead is delivered: the end must not overtake it, nor wait forever."""
        self._last = (*self._last, action)
        if (self._read_ahead or self._queue._buffer) and not self._overdue:
            self._deadline = self._deadline or self._loop.call_later(self._close_timeout, self._wait_no_more)
            if self.phase is WirePhase.LOST:
                self._endpoint.transport_lost()
        elif not self._writer.busy:
            self._finish()

    def _wait_no_more(self) -> None:
        self._overdue = True
        self._finish()

    def _finish(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        while self._last:
            action, self._last = self._last[0], self._last[1:]
            try:
                action()
            except BaseException:
                self._loop.call_soon(self._finish)  # the rest, whatever this one raised
                raise
