"""The wire on `receive` and `send` of an ASGI server: a task that reads, and one while there is something to write."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextvars import Context, copy_context
from typing import Any, Final
from weakref import WeakValueDictionary

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

ALIVE: Final = (WirePhase.READING, WirePhase.IGNORING)
"""Phases in which the server has not told of an end."""

TAKEN: Final = 16
"""Messages that the reader sends of one that it has handed on; what is more waits in `outgoing`."""

READS_A_TURN: Final = 2 * DELIVERIES_A_TURN
"""Messages that may be there at once, after which others have their turn; to see whether they had it costs more."""

STALL: Final = 0.1
"""Seconds: a server that makes us wait for so long has a slow reader, which then has read something.

Some servers make us wait for each message, if only for a turn of the event loop: the peer has no part in that.
"""


LOOK: Final = STALL / 2
"""Seconds between two looks for readers that wait for `send`: the second one that finds the same has another read."""

NOT, STARTED, SEEN, LATE = range(4)
"""What a wire sends: nothing; what its reader waits for, since the last look or before; what no reader waits for."""


class Sendings:
    """The wires of an event loop whose readers send. One timer looks after all of them, and ends when there are none.

    To look from time to time costs less than to see each wait: each message would pass through one more frame.
    """

    __slots__ = ("__weakref__", "busy", "looks", "waiting")

    def __init__(self) -> None:
        self.busy: AsgiWire | None = None
        """The one that began last: it sends now, or waits."""
        self.waiting = set[AsgiWire]()
        """Others, which have waited since."""
        self.looks = False
        """Whether the timer runs."""

    def look(self) -> None:
        """Have another task read where the reader still waits, and look again."""
        wires = self.waiting if self.busy is None else {self.busy, *self.waiting}
        self.looks = bool(wires)
        if self.looks:
            loop = asyncio.get_running_loop()
            loop.call_later(LOOK, self.look, context=Context())
            for wire in tuple(wires):
                wire.read_on(loop.time())

    def over(self, wire: AsgiWire) -> None:
        """Forget a wire."""
        self.waiting.discard(wire)
        if self.busy is wire:
            self.busy = None


_sendings: WeakValueDictionary[asyncio.AbstractEventLoop, Sendings] = WeakValueDictionary()
"""Their wires keep them."""


def sendings_of(loop: asyncio.AbstractEventLoop) -> Sendings:
    """Find or make those of an event loop."""
    found = _sendings.get(loop)
    if found is None:
        found = _sendings[loop] = Sendings()
    return found


class AsgiWire(HoldingWire):
    """A connection that has been accepted, on its server's `receive` and `send`.

    The server has the frames: it answers pings and close frames, and tells only how the connection ended. A hold does
    not call `receive`, once the read-ahead is used up. While `send` waits the wire is congested. The end of the
    connection is the end of the call that the server made: the code that made the wire returns from it.

    Memory: 64 KiB read ahead, and one message of the server's largest size; what the server itself keeps is its own.
    """

    __slots__ = (
        *("_began", "_cause", "_closing", "_context", "_deadline", "_loop", "_max_msg_size", "_reader"),
        *("_receive_event", "_says_all_codes", "_send_event", "_sending", "_sendings", "_taken", "_text_is_message"),
        *("_turn", "_wanted", "_writer", "_writing", "remote", "unsaid"),
    )
    can_ping = False
    unfinished: float | None = None  # a server hands on whole messages

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
        self.unsaid: Close | None = None
        """How it ended, where the server cannot say that: an exception that the call raises makes it 1011."""
        self._says_all_codes = says_all_codes
        self._text_is_message = text_is_message  # as the codec makes text of nothing else
        self._turn = False  # the reader hands a message on, and sends then what comes of it
        self._taken: list[str | Frame] = []
        self.remote = remote
        self._receive_event = receive
        self._send_event = send
        self._max_msg_size = max_msg_size
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()  # that of the server's call: a middleware may look for its own
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._writing = False  # a task sends, or is about to
        self._sending = NOT  # the server has a message, and has not said that it took it
        self._sendings = sendings_of(self._loop)
        self._began = 0.0  # that it made the reader wait for that
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
        return self._sending is not NOT

    def start(self, endpoint: Endpoint) -> None:
        """Begin to read."""
        self._endpoint = endpoint
        self.advance(WirePhase.READING)
        self._reader = self._start_reading()

    def wake(self) -> None:
        """Take and send, unless a task does so."""
        if self._writing or self._turn:
            self._wanted = True
        elif self.phase is not WirePhase.NEW:
            self._write_on(())

    def offer(self, frame: Frame) -> bool:
        """Send a message at once, or when the reader has handed on what it comes of; not while another one waits."""
        return not (self._turn and frame.parts) and self.offer_text(frame)

    def offer_text(self, text: str | Frame) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Do so with text as it is: the server makes the bytes."""
        if self._turn:
            taken = self._taken
            if self._wanted or len(taken) >= TAKEN:
                return False
            taken.append(text)
            return True
        if self._writing or not STARTS_AT_ONCE:
            return False
        self._write_on((text,))
        return True

    def withdraw(self) -> list[Frame]:
        """Give back what is not sent."""
        withdrawn = [Text(one.encode(), one) if isinstance(one, str) else one for one in self._taken]
        self._taken.clear()
        return withdrawn

    def keep_fresh(self, wanted: bool) -> None:
        """Do nothing: what waits beyond `send` is the server's."""

    def ignore(self) -> None:
        """Read only to see the end."""
        self.advance(WirePhase.IGNORING)

    def abort(self) -> None:
        """Send and read nothing more."""
        if not (self._says_all_codes or self._closing) and self.phase in ALIVE:
            self.unsaid = Close.received(1006)  # such a server would keep the connection
        self._stop()
        self._loop.call_soon(self._end, None)

    # Reading

    async def _read(self) -> None:
        """Read, and send what comes of each message. If `send` makes it wait for long, another task reads on."""
        receive, send, endpoint = self._receive_event, self._send_event, self._endpoint
        ahead, taken, limit, sendings = self._read_ahead, self._taken, self._max_msg_size, self._sendings
        reading = WirePhase.READING
        surely_small = sys.maxsize if limit is None else limit // 4  # characters
        try:
            while True:
                for _ in range(READS_A_TURN):
                    event = await receive()
                    data: Any = event.get("text")
                    if data is None:
                        kind = event["type"]
                        if kind == "websocket.disconnect":
                            await self._ended(event)
                            return
                        if kind != "websocket.receive":
                            continue
                        data = event["bytes"]
                        if type(data) is not bytes:
                            data = bytes(data)
                    if len(data) > surely_small and limit is not None and _is_larger(data, limit):
                        await self._delivered()
                        if self.phase is reading:
                            self._violated(len(data), limit)
                    if self.phase is reading:
                        self._turn = not self._writing
                        if self._held or ahead:
                            self._receive(data)
                        else:
                            endpoint.message_received(data)
                            if ahead:  # it was put back
                                self._deliver_soon()
                        del event, data  # or the message would stay until the next one comes
                        if self._turn:
                            self._turn = False
                            if taken:
                                self._writing, self._sending = True, STARTED
                                if sendings.busy is not None:
                                    sendings.waiting.add(sendings.busy)
                                sendings.busy = self
                                if not sendings.looks:
                                    sendings.look()
                                try:
                                    while taken:
                                        message = taken.pop(0)
                                        if type(message) is str:
                                            await send({"type": "websocket.send", "text": message})
                                        else:
                                            await send(self._event_of(message))
                                        del message
                                        if self._sending is LATE:  # another task reads on
                                            self._goes_on(self._began)
                                            await self._write(self.withdraw())
                                            return
                                        self._sending = STARTED
                                    self._writing = False
                                except Exception as error:
                                    self._loop.call_soon(self._failed, error)  # and nothing more goes
                                    if self._sending is LATE:
                                        self._sending = NOT
                                        return
                                self._sending = NOT
                                if sendings.busy is self:
                                    sendings.busy = None
                                else:
                                    sendings.waiting.discard(self)
                            if self._wanted and not self._writing:
                                self._wanted = False
                                self._write_on(())
                    if ahead and ahead.full and self._cause is None:
                        await self._wait_for_space()
                await asyncio.sleep(0)
        except Exception as error:
            self._end(error)
        except BaseException:
            self._end(None)
            raise

    def read_on(self, now: float) -> None:
        """Read in another task, since the one that does so waits for `send`, for how long may be seen."""
        if self._sending is STARTED:
            self._sending = SEEN
        elif self._sending is SEEN:
            self._sendings.over(self)
            self._sending, self._began = LATE, now - LOOK
            self._writer, self._reader = self._reader, self._start_reading()

    def _start_reading(self) -> asyncio.Task[None]:
        return self._loop.create_task(self._read(), name="rxws reader", context=self._endpoint.context)

    def _violated(self, size: int, limit: int) -> None:
        """Fail the connection: what the server took is too large for us."""
        self.ignore()
        error = ValueError(f"Message size {size} exceeds limit {limit}")
        self._endpoint.protocol_violated(error, Close(1009, "Message Too Big"))

    async def _ended(self, event: Mapping[str, Any]) -> None:
        """Report the peer's close frame, if there was one.

        Some servers tell 1005 also of a peer that has vanished. They give a reason, be it empty, where a frame came.
        daphne tells `None` of a frame without a code, and of that alone.
        """
        await self._delivered()
        code, reason = event.get("code", 1005), event.get("reason")
        if not self._closing and code != 1006 and (code != 1005 or reason is not None):
            self.advance(WirePhase.PEER_CLOSED)
            close_received(self._endpoint, None if code == 1005 else code, reason or "")
        self._end(self._cause)

    # Writing

    def _write_on(self, frames: Sequence[str | Frame]) -> None:
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

    async def _write(self, frames: Sequence[str | Frame]) -> None:
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
            self._sending = NOT
            self._loop.call_soon(self._failed, error)

    def _event_of(self, frame: str | Frame) -> AsgiEvent:
        if isinstance(frame, str):
            return {"type": "websocket.send", "text": frame}
        if frame.opcode != Text.opcode:
            return {"type": "websocket.send", "bytes": frame.data}
        message = frame.message
        if self._text_is_message and type(message) is str:
            return {"type": "websocket.send", "text": message}
        return {"type": "websocket.send", "text": frame.data.decode()}

    async def _send(self, frame: str | Frame) -> None:
        if not isinstance(frame, str) and frame.parts:
            for part in split(frame):
                await self._send(part)
        elif isinstance(frame, str) or frame.opcode != Ping.opcode:
            began = self._stalls()
            await self._send_event(self._event_of(frame))
            self._goes_on(began)

    def _stalls(self) -> float:
        self._sending = LATE
        return self._loop.time()

    def _goes_on(self, began: float) -> None:
        self._sending = NOT
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
        self._sendings.over(self)
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


def _is_larger(data: str | bytes, limit: int) -> bool:
    size = len(data)
    if isinstance(data, bytes) or size > limit or size * 4 <= limit:
        return size > limit
    return len(data.encode()) > limit
