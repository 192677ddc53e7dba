"""The wire on `receive` and `send` of an ASGI server: a task that reads, and one while there is something to write."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextvars import copy_context
from typing import Any, Final

from rxws.close import Close
from rxws.core.encoding import split
from rxws.core.phases import WirePhase
from rxws.core.wire import Endpoint, Frame, Ping, Rest, Text, TextWire, close_received
from rxws.rx.loop_thread import here, running_loop
from rxws.wires.asgi.sendings import SENDING, STALL, sendings_of
from rxws.wires.holding import DELIVERIES_A_TURN, HoldingWire

Scope = MutableMapping[str, Any]
AsgiEvent = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiEvent]]
Send = Callable[[AsgiEvent], Awaitable[None]]

STARTS_AT_ONCE: Final = sys.version_info >= (3, 12)
"""Whether a task may begin where it is made, so that most messages need no turn of the event loop."""

MOVES: Final = here is not running_loop
"""Whether `here()` may change while a loop has the same wire, since it runs in one thread after another."""

ALIVE: Final = (WirePhase.READING, WirePhase.IGNORING)
"""Phases before the end that the server reports."""

MAX_TAKEN: Final = 16
"""Answers to one message that the reader sends itself; more of them wait in `outgoing`."""

READS_A_TURN: Final = 4 * DELIVERIES_A_TURN
"""Messages that are read at once, after which other tasks have their turn; to ask whether they had it costs more."""

CLOSED: Final = object()
"""What `AsgiWire.answer` is while nothing is handed on: none may be put there then, nor while one is being sent."""


class AsgiWire(HoldingWire, TextWire):
    """A connection that has been accepted, on its server's `receive` and `send`.

    The server has the frames: it answers pings and close frames, and tells only how the connection ended. A hold does
    not call `receive`, once the read-ahead is used up. While `send` waits the wire is congested. The end of the
    connection is the end of the call that the server made: the code that made the wire returns from it.

    Memory: 64 KiB read ahead, and one message of the server's largest size; what the server itself keeps is its own.
    """

    __slots__ = (
        *("_cause", "_closing", "_context", "_deadline", "_late", "_loop", "_max_msg_size", "_plain", "_reader"),
        *("_receive_event", "_says_all_codes", "_send_event", "_sendings", "_taken", "_text_is_message", "_waits"),
        *("_wanted", "_writer", "_writing", "answer", "place", "remote", "unsaid"),
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
        self.answer: object = CLOSED
        self.place = here()
        self._taken: list[str | Frame] = []  # more answers, which follow that one
        self._plain = False  # to hand on a message, and send one answer, is all that there is to do
        self.remote = remote
        self._receive_event = receive
        self._send_event = send
        self._max_msg_size = max_msg_size
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()  # that of the server's call: a middleware may look for its own
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._writing = False  # a task sends, or is about to
        self._waits = False  # for the server, which has a message and has not said that it took it
        self._late = False  # it was the reader that waits, and another task reads on
        self._sendings = sendings_of(self._loop)
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
        return self._waits or self.answer is SENDING

    @property
    def received(self) -> int:
        """The messages that have come."""
        return self._endpoint.counters.received

    def start(self, endpoint: Endpoint) -> None:
        """Begin to read."""
        self._endpoint = endpoint
        self.advance(WirePhase.READING)
        self._reader = self._start_reading()

    def wake(self) -> None:
        """Take and send, unless a task does so."""
        if self._writing or self._wanted or self.answer is not CLOSED:
            self._wanted, self._plain = True, False
            if self.answer is None:
                self.answer = CLOSED  # it would go before what waits
        elif self.phase is not WirePhase.NEW:
            self._write_on(())

    def offer(self, frame: Frame) -> bool:
        """Send a message at once, or when the reader has handed on what it comes of; not while another one waits."""
        return not (frame.parts and self.answer is not CLOSED) and self._take(frame)

    def offer_text(self, text: str) -> int | None:
        """Do so with text, if it is ASCII: the server makes the bytes. Refuse what comes of other threads."""
        return len(text) if text.isascii() and running_loop() is self._loop and self._take(text) else None

    def _take(self, message: str | Frame) -> bool:
        if self.answer is None:
            self.answer = message
            return True
        if self.answer is CLOSED:
            if self._writing or self._wanted or not STARTS_AT_ONCE:
                return False
            self._write_on((message,))
            return True
        if self.answer is SENDING or self._wanted or len(self._taken) >= MAX_TAKEN:
            return False
        self._taken.append(message)
        self._plain = False
        return True

    def withdraw(self) -> list[Frame]:
        """Give back what is not sent."""
        withdrawn = [Text(one.encode(), one) if isinstance(one, str) else one for one in self._unsent()]
        self._taken.clear()
        return withdrawn

    def _unsent(self) -> Sequence[str | Frame]:
        """Take the answers that are not sent."""
        answer = self.answer
        if isinstance(answer, (str, Frame)):
            self._taken.insert(0, answer)
            self.answer, self._plain = CLOSED, False
        return self._taken

    def hold(self) -> None:
        """Read ahead, and read nothing when the read-ahead is used up."""
        super().hold()
        self._plain = False

    def put_back(self, rest: Rest) -> None:
        """Deliver it soon, before what is read ahead."""
        super().put_back(rest)
        self._plain = False

    def keep_fresh(self, wanted: bool) -> None:
        """Do nothing: what waits beyond `send` is the server's."""

    def ignore(self) -> None:
        """Read only to see the end."""
        self._plain = False
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
        limit, sendings, counters, emit = self._max_msg_size, self._sendings, endpoint.counters, endpoint.emit
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
                    size = len(data)
                    if size > surely_small and limit is not None and _is_larger(data, limit):
                        await self._delivered()
                        if self.phase is WirePhase.READING:
                            self._violated(size, limit)
                    if self._plain or self._is_plain():
                        if MOVES:
                            self.place = here()
                        self.answer = None
                        if endpoint.as_it_comes and data.isascii():
                            counters.received += 1
                            counters.received_bytes += size
                            emit(data)
                        else:
                            endpoint.message_received(data)
                    elif self.phase is WirePhase.READING:
                        if not self._writing:
                            self.answer = None
                        self._receive(data)
                    del event, data  # or the message would stay until the next one comes
                    answer: Any = self.answer
                    if answer is not None and self._plain:
                        last = sendings.last
                        if last is not self:
                            if last is None or last.answer is SENDING:
                                sendings.change(self)
                            else:
                                sendings.last = self
                        self.answer = SENDING
                        try:
                            if type(answer) is str:
                                await send({"type": "websocket.send", "text": answer})
                            else:
                                await send(self._event_of(answer))
                        except Exception as error:
                            if self._cannot_send(error):
                                return
                        answer = None
                    if self._plain:
                        self.answer = CLOSED
                    else:
                        sent = answer is None
                        del answer
                        if await self._catch_up(sent):
                            return
                await asyncio.sleep(0)
        except Exception as error:
            self._end(error)
        except BaseException:
            self._end(None)
            raise

    def _is_plain(self) -> bool:
        self._plain = self.phase is WirePhase.READING and not (
            self._held or self._read_ahead or self._writing or self._wanted or self._taken
        )
        return self._plain

    def _one_by_one(self) -> Iterator[str | Frame]:
        """Take the answers, each when it is its turn: until then they may be withdrawn."""
        while self._taken:
            yield self._taken.pop(0)

    async def _catch_up(self, sent: bool) -> bool:
        """Do what has come up besides one answer, which may be `sent`; return whether another task reads on."""
        while not self._writing and self._unsent():
            self._sendings.change(self)
            self.answer = SENDING
            try:
                await self._send_event(self._event_of(self._taken.pop(0)))
            except Exception as error:
                if self._cannot_send(error):
                    return True
            sent = True
        self.answer = CLOSED
        if sent and self._late:
            self._late = False
            self._goes_on()
            await self._write(self._one_by_one())
            return True
        if self._wanted and not self._writing:
            self._wanted = False
            self._write_on(())
        ahead = self._read_ahead
        if ahead and ahead.full and self._cause is None:
            await self._wait_for_space()
        return False

    def read_on(self) -> None:
        """Read in another task, since the one that does so waits for `send`, for how long may be seen."""
        self.answer, self._waits, self._late, self._writing, self._plain = CLOSED, True, True, True, False
        self._writer, self._reader = self._reader, self._start_reading()

    def _cannot_send(self, error: Exception) -> bool:
        """Send nothing more; return whether another task reads on."""
        self._loop.call_soon(self._failed, error)
        self._writing, self._plain = True, False
        late, self._late = self._late, False
        if late:
            self._waits = False
        return late

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
        await self._delivered(lost=True)
        code, reason = event.get("code", 1005), event.get("reason")
        if not self._closing and code != 1006 and (code != 1005 or reason is not None):
            self.advance(WirePhase.PEER_CLOSED)
            close_received(self._endpoint, None if code == 1005 else code, reason or "")
        self._end(self._cause)

    # Writing

    def _write_on(self, frames: Sequence[str | Frame]) -> None:
        if self.phase is WirePhase.PEER_CLOSED or self.phase is WirePhase.LOST:
            return
        self._writing, self._plain = True, False
        if STARTS_AT_ONCE:
            options: dict[str, Any] = {"loop": self._loop, "context": self._context, "eager_start": True}
            task = asyncio.Task(self._write(frames), **options)
        else:
            task = self._loop.create_task(self._write(frames), context=self._context)
        if not task.done():
            self._writer = task

    async def _write(self, frames: Iterable[str | Frame]) -> None:
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
            self._waits = False
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
            began, self._waits = self._loop.time(), True
            await self._send_event(self._event_of(frame))
            if self._loop.time() - began > STALL:
                self._goes_on()
            else:
                self._waits = False

    def _goes_on(self) -> None:
        """Record that the server has taken what it made us wait for."""
        self._waits = False
        self._endpoint.relieved()

    def _failed(self, error: Exception) -> None:
        """End; but read first what the peer sent before it left: its close, perhaps."""
        if self._closing or self.phase is WirePhase.LOST:
            self._end(error)
            return
        self._cause = error
        self._endpoint.transport_lost()
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
        self._cause, self._plain = None, False
        self._stop()
        if started:
            self._endpoint.connection_lost(error)


def _is_larger(data: str | bytes, limit: int) -> bool:
    size = len(data)
    if isinstance(data, bytes) or size > limit or size * 4 <= limit:
        return size > limit
    return len(data.encode()) > limit
