"""The wire on aiohttp's public `receive()`, `send_frame()` and `close()`: one task that reads and one that writes."""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

from aiohttp import WebSocketError, WSMsgType

from rxws.close import Close
from rxws.core.phases import WirePhase
from rxws.core.wire import Endpoint, Frame, close_received
from rxws.wires.aiohttp.inside import (
    AnyWebSocket,
    end_writing,
    forget_frames,
    keep_fresh,
    protocol_of,
    release,
    remote_of,
    take_over,
    transport_of,
)
from rxws.wires.aiohttp.public.pacing import FRAMES_A_TURN, Pacing
from rxws.wires.deflate import InflateError
from rxws.wires.holding import HoldingWire

WAITED: Final = 0.01
"""Seconds after which a frame has waited for room: aiohttp does that itself now and then, and tells nobody."""

LINGER: Final = 0.02
"""Seconds between two looks whether the peer has gone after a violation; the socket's deadline ends it."""


class PublicWire(HoldingWire):
    """A prepared aiohttp WebSocket, of either side."""

    def __init__(self, ws: AnyWebSocket, pacing: Pacing, close_timeout: float) -> None:
        super().__init__(close_timeout)
        take_over(ws)
        self._ws = ws
        self._pacing = pacing
        self._headers = pacing.watch
        self._marks = pacing.watch.marks  # where messages are compressed
        self._deflate = None if self._marks is None else self._marks.deflation.deflate
        self._transport = transport_of(ws)
        self._aiohttp_protocol = protocol_of(ws)
        self._pongs: deque[bytes] = deque(maxlen=FRAMES_A_TURN)
        self._cause: BaseException | None = None
        self._closing = False  # our close frame is sent
        self._work = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None

    @property
    def remote(self) -> str | None:
        """The peer's address."""
        return remote_of(self._ws)

    @property
    def congested(self) -> bool:
        """Whether the kernel has refused bytes."""
        return self._aiohttp_protocol.writing_paused

    @property
    def unfinished(self) -> float | None:
        """Since when a message is on its way."""
        return self._headers.since

    def start(self, endpoint: Endpoint) -> None:
        """Start the two tasks."""
        self._endpoint = endpoint
        self.advance(WirePhase.READING)
        self._headers.begin(endpoint)
        self._reader = asyncio.create_task(self._run(self._read), context=endpoint.context)
        self._writer = asyncio.create_task(self._run(self._write))

    def wake(self) -> None:
        """Wake the writer."""
        self._work.set()

    def keep_fresh(self, wanted: bool) -> None:
        """Keep the kernel's share small, or no longer."""
        keep_fresh(self._ws, wanted)

    def resume(self) -> None:
        """Deliver what was read ahead, soon."""
        if self.blind:
            self._headers.excuse()
        super().resume()

    def ignore(self) -> None:
        """Read only to see the peer leave."""
        self.advance(WirePhase.IGNORING)
        self._headers.ignore()
        self._pacing.forget()

    def abort(self) -> None:
        """Drop the connection."""
        try:
            self._transport.abort()
        finally:
            asyncio.get_running_loop().call_soon(self._end, None)

    # Reading

    async def _read(self) -> None:
        while True:
            frame, size = await self._ws.receive(), 0
            match frame.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    data = frame.data if frame.type is WSMsgType.TEXT else bytes(frame.data)
                    if self._marks is None:
                        size = len(data)
                        self._receive(data)
                    else:
                        try:
                            size = self._marks.hand_on(data, self._endpoint, self._receive)
                        except InflateError as error:
                            self.ignore()
                            await self._violated(error)
                            return
                    del data  # or the message would stay until the next one comes
                    if self._read_ahead.full and self._cause is None:
                        await self._wait_for_space()
                case WSMsgType.PING:
                    self._pongs.append(bytes(frame.data))
                    self._work.set()
                    self._endpoint.ping_received()
                case WSMsgType.PONG:
                    self._endpoint.pong_received(bytes(frame.data))
                case WSMsgType.CLOSE if not self._closing:
                    self.advance(WirePhase.PEER_CLOSED)
                    await self._delivered()
                    close_received(self._endpoint, frame.data, frame.extra or "")
                    self._end_if_failed()
                    return
                case _ if self._closing:
                    await self._delivered()
                    return
                case WSMsgType.ERROR if isinstance(frame.data, (WebSocketError, zlib.error)):
                    await self._violated(frame.data)
                    return
                case WSMsgType.CLOSING:
                    self._endpoint.close_received(Close())  # the code that made the object closes it
                    return
                case _:
                    await self._delivered(lost=True)
                    self._end(frame.data if isinstance(frame.data, BaseException) else self._cause)
                    return
            del frame  # or the message would stay until the next one comes
            await self._pacing.took(size)

    async def _violated(self, error: Exception) -> None:
        """Fail the connection, after what was read ahead."""
        self.advance(WirePhase.IGNORING)
        forget_frames(error)
        await self._delivered()
        self._endpoint.protocol_violated(error, Close(int(getattr(error, "code", 1002))))
        self._end_if_failed()

    async def _wait_for_space(self) -> None:
        self._work.set()  # the writer may have waited for a pong
        self._aiohttp_protocol.pause_reading()  # it would read on: empty messages weigh nothing in older queues
        await super()._wait_for_space()
        self._aiohttp_protocol.resume_reading()

    # Writing

    async def _write(self) -> None:
        frames = 0
        while True:
            while self._pongs:
                await self._ws.pong(self._pongs.popleft())
            match self._endpoint.take(0):
                case [Frame() as frame, *parts]:
                    await self._send(frame)
                    for frame in parts:
                        await self._send(frame)
                    del frame, parts  # or the message would stay until the next one goes
                case Close() as close:
                    await self._close(close)
                    return
                case _:
                    await self._work.wait()
                    self._work.clear()
            frames += 1
            if frames % FRAMES_A_TURN == 0:
                await asyncio.sleep(0)

    async def _send(self, frame: Frame) -> None:
        if self._deflate is not None and (smaller := self._deflate(frame)) is not frame:
            self._endpoint.counters.sent_saved += frame.weight - smaller.weight
            frame = smaller
        clock = asyncio.get_running_loop().time
        began = clock()
        await self._ws.send_frame(frame.data, cast("Any", frame.opcode))
        if self.congested:
            await self._aiohttp_protocol._drain_helper()
        elif clock() - began < WAITED:
            return
        self._endpoint.relieved()

    async def _close(self, close: Close) -> None:
        """Send the close frame, and wait for the peer's.

        Not with aiohttp's `close()`, which does not wait for the peer's frame if a task is in `receive()`: to close
        with unread bytes around resets the connection, and may destroy our frame before the peer has read it.
        """
        self._closing = True
        await self._ws.send_frame(close.code.to_bytes(2, "big") + close.reason.encode(), WSMsgType.CLOSE)
        if self.congested:
            await self._aiohttp_protocol._drain_helper()
        shutting_down = getattr(self._aiohttp_protocol, "_close", False)  # aiohttp's server then ignores what comes
        if self.phase is WirePhase.IGNORING or shutting_down:
            await self._linger()
        elif self._reader is not None:
            await asyncio.wait({self._reader})
        self._end(None)

    async def _linger(self) -> None:
        """Wait until a peer has gone whose frames aiohttp no longer reads."""
        end_writing(self._transport)
        while self._aiohttp_protocol.connected:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(LINGER)

    # Ending

    async def _run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()  # not made before: the end may come before a task begins
        except Exception as error:
            self._failed(error)
        except BaseException:
            self._end(None)
            raise

    def _failed(self, error: Exception) -> None:
        """End; but if it is writing that failed, read first what the peer sent before it left: its close, perhaps."""
        reader = self._reader
        if self._closing or reader is None or reader.done() or reader is asyncio.current_task():
            self._end(error)
        else:
            self._cause = error
            self._endpoint.transport_lost()
            self._wait_no_more()
            self._transport.abort()

    def _end_if_failed(self) -> None:
        """End if nothing can be written, an answer to the peer's close least of all."""
        if self._cause is not None:
            self._end(self._cause)

    def _end(self, error: BaseException | None) -> None:
        if self.phase is WirePhase.LOST:
            return
        started = self.phase is not WirePhase.NEW
        self.enter(WirePhase.LOST)
        try:
            for task in (self._reader, self._writer):
                if task is not None:
                    task.cancel()
            self._reader = self._writer = self._cause = None  # in the frames of what ended a task is this wire
            self._headers.end()
            self._transport.abort()
            release(self._ws)
        finally:
            if started:
                self._endpoint.connection_lost(error)
