"""The wire on `receive` and `send` of an ASGI server: a task that reads, and one while there is something to write."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, MutableMapping, Sequence
from contextvars import copy_context
from functools import partial
from types import CoroutineType
from typing import Any, Final, cast

from rxws.close import Close
from rxws.core.encoding import split
from rxws.core.phases import WirePhase
from rxws.core.wire import Endpoint, Frame, Ping, Text, close_received
from rxws.wires.holding import DELIVERIES_A_TURN, HoldingWire

Scope = MutableMapping[str, Any]
AsgiEvent = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiEvent]]
Send = Callable[[AsgiEvent], Awaitable[None]]

STARTS_AT_ONCE: Final = sys.version_info >= (3, 12)
"""Whether a task may begin where it is made, so that most messages need no turn of the event loop."""

TAKEN: Final = 16
"""Messages that the reader sends of one that it has handed on; what is more waits in `outgoing`."""

STALL: Final = 0.1
"""Seconds: a server that makes us wait for so long has a slow reader, which then has read something.

Some servers make us wait for each message, if only for a turn of the event loop: the peer has no part in that.
"""


class AsgiWire(HoldingWire):
    """A connection that has been accepted, on its server's `receive` and `send`.

    The server has the frames: it answers pings and close frames, and tells only how the connection ended. A hold does
    not call `receive`, once the read-ahead is used up. While `send` waits the wire is congested. The end of the
    connection is the end of the call that the server made: the code that made the wire returns from it.

    Memory: 64 KiB read ahead, and one message of the server's largest size; what the server itself keeps is its own.
    """

    can_ping = False
    unfinished: float | None = None  # a server hands on whole messages

    unsaid: Close | None = None
    """How it ended, where the server cannot say that: an exception that the call raises makes it close with 1011."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        *,
        remote: str | None,
        max_msg_size: int | None,
        close_timeout: float,
        says_all_codes: bool = True,
        text_is_message: bool = False,
    ) -> None:
        super().__init__(close_timeout)
        self._says_all_codes = says_all_codes
        self._text_is_message = text_is_message  # as the codec makes text of nothing else
        self._turn = False  # the reader hands a message on, and sends what comes of it
        self._taken: list[Frame] = []
        self.remote = remote
        self._receive_event = receive
        self._send_event = send
        self._max_msg_size = max_msg_size
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()  # that of the server's call: a middleware may look for its own
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._writing = False  # a task sends, or is about to
        self._sending = False  # the server has a message, and has not said that it took it
        self._wanted = False  # something more waits to be sent
        self._closing = False  # our close frame is sent
        self._cause: BaseException | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def check_end(self) -> None:
        """Raise `RuntimeError` for an end that the server cannot say, so that it closes at all."""
        if self.unsaid is not None:
            raise RuntimeError(f"this server cannot close with {self.unsaid}: it makes 1011 of this error")

    @property
    def congested(self) -> bool:
        """Whether the server makes us wait."""
        return self._sending

    def start(self, endpoint: Endpoint) -> None:
        """Begin to read."""
        self._endpoint = endpoint
        self.advance(WirePhase.READING)
        self._reader = self._loop.create_task(self._run(), context=endpoint.context)

    def wake(self) -> None:
        """Take and send, unless a task does so."""
        if self._writing or self._turn:
            self._wanted = True
        elif self.phase is not WirePhase.NEW:
            self._write_on(())

    def offer(self, frame: Frame) -> bool:
        """Send a message at once, or when the reader has handed on what it comes of; not while another one waits."""
        if self._writing:
            return False
        if self._turn:
            if len(self._taken) >= TAKEN or self._wanted or frame.parts:
                return False
            self._taken.append(frame)
            return True
        if STARTS_AT_ONCE:
            self._write_on((frame,))
        return STARTS_AT_ONCE

    def withdraw(self) -> list[Frame]:
        """Give back what is not sent."""
        taken, self._taken = self._taken, []
        return taken

    def keep_fresh(self, wanted: bool) -> None:
        """Do nothing: what waits beyond `send` is the server's."""

    def ignore(self) -> None:
        """Read only to see the end."""
        self.advance(WirePhase.IGNORING)

    def abort(self) -> None:
        """Send and read nothing more."""
        self._stop()
        self._loop.call_soon(self._end, None)

    # Reading

    async def _run(self) -> None:
        try:
            await self._read()
        except Exception as error:
            self._end(error)
        except BaseException:
            self._end(None)
            raise

    async def _read(self) -> None:
        receive, limit, messages, pass_on = self._receive_event, self._max_msg_size, 0, self._receive
        ahead = self._read_ahead
        while True:
            event = await receive()
            kind = event["type"]
            if kind != "websocket.receive":
                if kind == "websocket.disconnect":
                    await self._ended(event)
                    return
                continue
            data: Any = event.get("text")
            if data is None:
                data = event["bytes"]
                if type(data) is not bytes:
                    data = bytes(data)
            if limit is not None and len(data) * 4 > limit and _is_larger(data, limit):
                await self._delivered()
                if self.phase is WirePhase.READING:
                    self._violated(len(data), limit)
            if self.phase is WirePhase.READING:
                self._turn = True
                pass_on(data)
                self._turn = False
                del event, data  # or the message would stay until the next one comes
                if (self._taken or self._wanted) and not self._writing and await self._send_taken():
                    return
            if ahead and ahead.full and self._cause is None:
                await self._wait_for_space()
            messages += 1
            if messages % DELIVERIES_A_TURN == 0:
                await asyncio.sleep(0)

    async def _send_taken(self) -> bool:
        """Send what has come of a message. If the server makes us wait another task reads on, which is told."""
        self._writing, stalled = True, False
        try:
            while self._taken and self._cause is None:
                sending = _stepwise(self._send_event(self._event_of(self._taken.pop(0))))
                try:
                    waits_for = sending.send(None)
                except StopIteration:
                    continue
                stalled, began = True, self._stalls()
                reading_on = self._loop.create_task(self._run(), context=self._endpoint.context)
                self._writer, self._reader = self._reader, reading_on
                await Resumed(sending, waits_for)
                self._goes_on(began)
                frames, self._taken = self._taken, []
                await self._write(frames)
                return True
        except Exception as error:
            self._loop.call_soon(self._failed, error)
            return stalled
        self._writing = False
        if self._wanted:
            self._wanted = False
            self._write_on(())
        return False

    def _violated(self, size: int, limit: int) -> None:
        """Fail the connection: what the server took is too large for us."""
        self.ignore()
        error = ValueError(f"Message size {size} exceeds limit {limit}")
        self._endpoint.protocol_violated(error, Close(1009, "Message Too Big"))

    async def _ended(self, event: Mapping[str, Any]) -> None:
        """Report the peer's close frame, if there was one.

        Some servers tell 1005 also of a peer that has vanished. They give a reason, be it empty, where a frame came.
        """
        await self._delivered()
        code, reason = event.get("code"), event.get("reason")
        if not self._closing and code not in (None, 1006) and (code != 1005 or reason is not None):
            self.advance(WirePhase.PEER_CLOSED)
            close_received(self._endpoint, None if code == 1005 else code, reason or "")
        self._end(self._cause)

    # Writing

    def _write_on(self, frames: Sequence[Frame]) -> None:
        if self.phase is WirePhase.PEER_CLOSED or self.phase is WirePhase.LOST:
            return
        self._writing = True
        if STARTS_AT_ONCE:
            options: dict[str, Any] = {"loop": self._loop, "context": self._context, "eager_start": True}
            task = asyncio.Task(self._write(frames), **options)
        else:
            task = self._loop.create_task(self._write(frames), context=self._context)
        if not task.done():
            self._writer = task

    async def _write(self, frames: Sequence[Frame]) -> None:
        """Send frames, and then what the endpoint gives, until it gives nothing."""
        turn = 0
        offered = bool(frames)
        try:
            while self._cause is None:
                for frame in frames:
                    await self._send(frame)
                del frames  # or messages would stay until the next ones go
                if offered and self._writer is None and not self._wanted:
                    break  # it went at once: nothing waits behind it
                offered = self._wanted = False
                given = self._endpoint.take(0)
                if isinstance(given, Close):
                    self._closing = True
                    if not (self._says_all_codes or given.code == 1000 or given.code >= 3000):
                        self.unsaid = given
                        self._loop.call_soon(self._end, None)
                        return
                    await self._send_event({"type": "websocket.close", "code": given.code, "reason": given.reason})
                    return  # and all that comes counts for nothing; `_writing` stays
                if not given:
                    break
                frames = [part for frame in given for part in split(frame)]
                turn += 1
                if turn % DELIVERIES_A_TURN == 0:
                    await asyncio.sleep(0)
            self._writing, self._writer = False, None
        except Exception as error:
            self._loop.call_soon(self._failed, error)

    def _event_of(self, frame: Frame) -> AsgiEvent:
        if frame.opcode != Text.opcode:
            return {"type": "websocket.send", "bytes": frame.data}
        message = frame.message
        if self._text_is_message and type(message) is str:
            return {"type": "websocket.send", "text": message}
        return {"type": "websocket.send", "text": frame.data.decode()}

    async def _send(self, frame: Frame) -> None:
        if frame.parts:
            for part in split(frame):
                await self._send(part)
        elif frame.opcode != Ping.opcode:
            began = self._stalls()
            await self._send_event(self._event_of(frame))
            self._goes_on(began)

    def _stalls(self) -> float:
        self._sending = True
        return self._loop.time()

    def _goes_on(self, began: float) -> None:
        self._sending = False
        if self._loop.time() - began > STALL:
            self._endpoint.relieved()

    def _failed(self, error: Exception) -> None:
        """End; but read first what the peer sent before it left: its close, perhaps."""
        if self._closing or self.phase is WirePhase.LOST:
            self._end(error)
            return
        self._cause = error
        self._wait_no_more()
        self._deadline = self._loop.call_later(self._close_timeout, self._end, error)

    # Ending

    def _stop(self) -> None:
        for task in (self._reader, self._writer):
            if task is not None:
                task.cancel()
        self._reader = self._writer = None
        if self._deadline is not None:
            self._deadline.cancel()

    def _end(self, error: BaseException | None) -> None:
        if self.phase is WirePhase.LOST:
            return
        started = self.phase is not WirePhase.NEW
        self.enter(WirePhase.LOST)
        self._cause = None
        self._stop()
        if started:
            self._endpoint.connection_lost(error)


class Resumed:
    """What is left of a coroutine that has made one step: it goes on with what that waits for."""

    def __init__(self, rest: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._rest = rest
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        """Wait for that, then let it go on to its end, and hand on what is thrown into it."""
        waits_for = self._waits_for
        while True:
            try:
                got = yield waits_for
            except BaseException as error:
                step = partial(self._rest.throw, error)
            else:
                step = partial(self._rest.send, got)
            try:
                waits_for = step()
            except StopIteration:
                return


def _stepwise(awaitable: Awaitable[None]) -> Coroutine[Any, Any, None]:
    return cast("Any", awaitable) if type(awaitable) is CoroutineType else _coroutine_of(awaitable)


async def _coroutine_of(awaitable: Awaitable[None]) -> None:
    await awaitable


def _is_larger(data: str | bytes, limit: int) -> bool:
    size = len(data)
    if isinstance(data, bytes) or size > limit or size * 4 <= limit:
        return size > limit
    return len(data.encode()) > limit
