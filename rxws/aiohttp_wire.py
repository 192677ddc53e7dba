"""aiohttp's WebSocket objects as a `Wire`: the only module that touches them.

Runs on aiohttp's public `receive()`, `send_frame()` and `close()`, with one task that reads and one that writes.
What has no public name: the transport and protocol of the object's writer, waiting for room in it, and turning off
`autoping` and `autoclose` on an object that somebody else made.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket as sockets
import sys
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final, cast

from aiohttp import ClientWebSocketResponse, WebSocketError, WSMsgType, web

from rxws.closing import Close
from rxws.options import Settings
from rxws.wire import Binary, Endpoint, Ping, Text

READ_AHEAD: Final = 64 * 1024
"""Bytes of messages read during a hold, so that control frames and the peer's departure behind them are seen."""

TURN: Final = 64
"""Frames after which the event loop's other business gets its turn."""

NOT_SENT: Final = 4096
"""Bytes that the kernel may keep unsent when messages must be fresh (TCP_NOTSENT_LOWAT)."""

LINGER: Final = 0.02
"""Seconds between two looks whether the peer has gone after a violation; the socket's deadline ends it."""

AnyWebSocket = web.WebSocketResponse | ClientWebSocketResponse


class Response(web.WebSocketResponse):
    """aiohttp's response, but the wire decides when to close and when to wait for room."""

    def __init__(self, settings: Settings) -> None:
        size = settings.max_msg_size
        super().__init__(
            timeout=settings.close_timeout,
            protocols=settings.protocols,
            compress=settings.compress,
            max_msg_size=0 if size is None else size + 1,  # aiohttp refuses a message of exactly its limit
            autoping=False,
            autoclose=False,
            writer_limit=sys.maxsize,
        )

    async def close(self, **ignored: Any) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Do nothing: aiohttp calls this on violations and at the handler's end."""
        return False


class AiohttpWire:
    """A prepared aiohttp WebSocket, of either side."""

    def __init__(self, ws: AnyWebSocket, close_timeout: float) -> None:
        self._ws = ws
        self._close_timeout = close_timeout
        writer = cast("Any", ws)._writer
        self._transport: asyncio.Transport = writer.transport
        self._aiohttp_protocol: Any = writer.protocol
        self._pongs: deque[bytes] = deque(maxlen=TURN)
        self._parked: deque[str | bytes] = deque()
        self._parked_weight = 0
        self._held = False
        self.blind = False
        self._cause: BaseException | None = None
        self._violated = False
        self._closing = False
        self._ended = False
        self._work = asyncio.Event()
        self._space = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._endpoint: Endpoint = cast("Endpoint", None)
        for option in ("_autoping", "_autoclose"):
            setattr(ws, option, False)
        self._transport.set_write_buffer_limits(high=0)

    @property
    def remote(self) -> str | None:
        """The peer's address."""
        peer: Any = self._ws.get_extra_info("peername")
        return peer[0] if isinstance(peer, tuple) else peer or None  # pyright: ignore[reportUnknownVariableType]

    @property
    def congested(self) -> bool:
        """Whether the kernel has refused bytes."""
        return self._aiohttp_protocol.writing_paused

    def start(self, endpoint: Endpoint, *, fresh: bool) -> None:
        """Start the two tasks."""
        self._endpoint = endpoint
        if fresh:
            self._keep_fresh()
        self._reader = asyncio.create_task(self._run(self._read()))
        self._writer = asyncio.create_task(self._run(self._write()))

    def wake(self) -> None:
        """Wake the writer."""
        self._work.set()

    def hold(self) -> None:
        """Park what comes, and stop reading when the read-ahead is used up."""
        self._held = True

    def resume(self) -> None:
        """Deliver what was parked, soon."""
        self._held = False
        asyncio.get_running_loop().call_soon(self._deliver)

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abort()
        asyncio.get_running_loop().call_soon(self._end, None)

    # Reading

    async def _read(self) -> None:
        frames = 0
        while True:
            frame = await self._ws.receive()
            match frame.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    await self._message(frame.data if frame.type is WSMsgType.TEXT else bytes(frame.data))
                case WSMsgType.PING:
                    self._pongs.append(bytes(frame.data))
                    self._work.set()
                    self._endpoint.sign_of_life()
                case WSMsgType.PONG:
                    self._endpoint.pong_received(bytes(frame.data))
                case _ if self._closing:
                    return
                case WSMsgType.CLOSE:
                    await self._delivered()
                    self._closed_by_peer(frame.data, frame.extra or "")
                    return
                case WSMsgType.ERROR if isinstance(frame.data, WebSocketError):
                    await self._delivered()
                    self._violated = True
                    self._endpoint.protocol_violated(frame.data, Close(int(frame.data.code)))
                    return
                case WSMsgType.CLOSING:
                    self._endpoint.close_received(Close())  # whoever made the object closes it
                    return
                case _:
                    await self._delivered()
                    self._end(frame.data if isinstance(frame.data, BaseException) else self._cause)
                    return
            frames += 1
            if frames % TURN == 0:
                await asyncio.sleep(0)

    async def _message(self, data: str | bytes) -> None:
        if self._closing:
            return
        if not self._held and not self._parked:
            self._endpoint.message_received(data)
            return
        self._parked.append(data)
        self._parked_weight += len(data)
        if self._parked_weight > READ_AHEAD and self._cause is None:
            self.blind = True
            self._space.clear()
            await self._space.wait()
            self.blind = False

    def _deliver(self) -> None:
        while self._parked and not self._held and not self._ended:
            data = self._parked.popleft()
            self._parked_weight -= len(data)
            self._endpoint.message_received(data)
        if not self._parked:
            self._space.set()

    async def _delivered(self) -> None:
        """Wait for what was parked to be delivered: the end must not overtake it, nor wait for ever."""
        if self._parked:
            self._space.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._close_timeout):
                    await self._space.wait()

    def _closed_by_peer(self, code: int | None, reason: str) -> None:
        try:
            if code in (1005, 1006):
                raise ValueError(f"the peer's close frame has the code {code}, which no frame may carry")
            self._endpoint.close_received(Close.received(code or 1005, reason))
        except ValueError as error:
            self._endpoint.protocol_violated(error, Close(1002))

    # Writing

    async def _write(self) -> None:
        frames = 0
        while True:
            while self._pongs:
                await self._ws.pong(self._pongs.popleft())
            match self._endpoint.take():
                case Text(data):
                    await self._send(data, WSMsgType.TEXT)
                case Binary(data):
                    await self._send(data, WSMsgType.BINARY)
                case Ping(data):
                    await self._ws.ping(data)
                case Close() as close:
                    await self._close(close)
                    return
                case None:
                    await self._work.wait()
                    self._work.clear()
            frames += 1
            if frames % TURN == 0:
                await asyncio.sleep(0)

    async def _send(self, data: bytes, kind: WSMsgType) -> None:
        await self._ws.send_frame(data, kind)
        if self.congested:
            await self._aiohttp_protocol._drain_helper()
            self._endpoint.sign_of_life()

    async def _close(self, close: Close) -> None:
        """Send the close frame, and wait for the peer's; what else comes meanwhile is dropped.

        Not with aiohttp's `close()`, which does not wait for the peer's frame if somebody is in `receive()`: to close
        with unread bytes around resets the connection, and may destroy our frame before the peer has read it.
        """
        self._closing = True
        self._space.set()
        await self._ws.send_frame(close.code.to_bytes(2, "big") + close.reason.encode(), WSMsgType.CLOSE)
        if self.congested:
            await self._aiohttp_protocol._drain_helper()
        shutting_down = getattr(self._aiohttp_protocol, "_close", False)  # aiohttp's server then ignores what comes
        if self._violated or shutting_down:
            await self._linger()
        elif self._reader is not None:
            await asyncio.wait({self._reader})
        if not isinstance(self._ws, Response):
            await self._ws.close()
        self._end(None)

    async def _linger(self) -> None:
        """Wait until a peer has gone whose frames aiohttp no longer reads."""
        if self._transport.can_write_eof():
            self._transport.write_eof()
        while self._aiohttp_protocol.connected:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(LINGER)

    # Ending

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        """End; but if it is writing that failed, read first what the peer sent before it left: its close, perhaps."""
        reader = self._reader
        if self._closing or reader is None or reader.done() or reader is asyncio.current_task():
            self._end(error)
        else:
            self._cause = error
            self._transport.abort()
            self._space.set()

    def _end(self, error: BaseException | None) -> None:
        if self._ended:
            return
        self._ended = True
        for task in (self._reader, self._writer):
            if task is not None:
                task.cancel()
        self._transport.abort()
        self._endpoint.connection_lost(error)

    def _keep_fresh(self) -> None:
        sock = self._ws.get_extra_info("socket")
        option = getattr(sockets, "TCP_NOTSENT_LOWAT", None)
        if sock is not None and option is not None and sock.family in (sockets.AF_INET, sockets.AF_INET6):
            sock.setsockopt(sockets.IPPROTO_TCP, option, NOT_SENT)
