"""The public face of one WebSocket, the same on the server and on the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from reactivex import Observable, abc
from reactivex.subject import Subject

from rxws.close import Close
from rxws.core.incoming import Cursor, Readers
from rxws.core.lifecycle import Lifecycle
from rxws.errors import close_for, parted
from rxws.stats import Stats

In = TypeVar("In")
Out = TypeVar("Out")

if TYPE_CHECKING:
    from typing import Self

    from aiohttp import web

    class Streams(tuple[Observable[In], Subject[Out | Close], Subject[Exception]], Generic[In, Out]):
        """For type checkers alone, which know the types of what is unpacked of a tuple only."""

        def __new__(cls, *args: Any, **options: Any) -> Self:
            """Make one of what `__init__` takes."""
            ...
else:
    Streams = Generic

SENDS_A_TURN: Final = 64
"""Messages that `send` takes before others have their turn, however fast the peer is."""


class WebSocket(Streams[In, Out]):
    """Three streams, and the connection they belong to: `incoming, outgoing, errors = socket`.

    All three end exactly once, when the socket closes, in this order: `incoming` completes, `errors` completes,
    what the socket owns is disposed, `closed` emits its one `Close` and completes.
    """

    _sends = 0  # of `send`

    def __init__(self, lifecycle: Lifecycle, *, request: Any = None, response: Any = None) -> None:
        self._life = lifecycle
        self._request = request
        self._response = response
        self._cursor: Cursor[In] | None = None

    @property
    def incoming(self) -> Observable[In]:
        """What the peer sends: hot; completes, never fails.

        Messages before the first subscriber wait for it. In code that reads in sequence, so do messages between two
        subscribers: reading is held while nobody is subscribed. A `def` handler that has returned does not read in
        sequence, so messages without a subscriber are dropped.
        """
        return self._life.incoming

    @property
    def outgoing(self) -> Subject[Out | Close]:
        """What the peer gets; from any thread. Subscribing to it shows what is sent."""
        return cast("Subject[Out | Close]", self._life.outgoing)

    @property
    def errors(self) -> Subject[Exception]:
        """What goes wrong: decoding, encoding, subscribers that raise, the connection; completes, never fails."""
        return self._life.reports.errors

    @property
    def closed(self) -> Observable[Close]:
        """Emits how the socket ended, once, for late subscribers too: `close = await socket.closed`."""
        return self._life.closed

    @property
    def dropped(self) -> Observable[Any]:
        """The messages that the overflow policy drops, as it does; hot, completes when the socket closes."""
        return self._life.outgoing.dropped

    @property
    def undelivered(self) -> Observable[Any]:
        """At the end, the messages that were taken by `outgoing` but never handed to the transport; then it completes.

        On a client that reconnects, it also emits messages that a broken connection was given and may not have
        delivered, as soon as that is known. Late subscribers get the newest ones, of at most `max_buffered` bytes
        together.
        """
        return self._life.reports.undelivered

    @property
    def subscription(self) -> abc.DisposableBase | None:
        """The subscription of the Observable that a handler returned; disposing it closes the socket, 1000."""
        return self._life.subscription

    @property
    def request(self) -> web.Request:
        """The `aiohttp.web.Request` of the handshake, on a server; elsewhere there is none, and this is `None`."""
        return self._request

    @property
    def response(self) -> web.WebSocketResponse:
        """The response of a server, which an aiohttp handler has to return; elsewhere there is none: `None`."""
        return self._response

    @property
    def protocol(self) -> str | None:
        """The negotiated subprotocol, if there is one."""
        return self._life.protocol

    @property
    def remote(self) -> str | None:
        """The peer's address: what a middleware for trusted proxies says, else the connection's.

        A client of a UNIX socket does not have an address; this is then `unix:` and the path of the socket. `None` for
        a client without a connection.
        """
        if self._request is not None:
            # a framework's may not have it
            return getattr(self._request, "remote", None) or self._life.reports.log.remote
        return None if self._life.connection is None else self._life.reports.log.remote

    @property
    def rtt(self) -> float | None:
        """Round trip in seconds, of the last answered ping; `None` before."""
        connection = self._life.connection
        return None if connection is None or connection.heartbeat is None else connection.heartbeat.rtt

    @property
    def stats(self) -> Stats:
        """A snapshot of the counters."""
        life = self._life
        window = None if life.connection is None else life.connection.window
        buffered, weight = life.outgoing.buffered
        in_flight, age = (None, None) if window is None else window.flight
        return Stats(
            received=life.counters.received,
            received_bytes=life.counters.received_bytes,
            sent=life.counters.sent,
            sent_bytes=life.counters.sent_bytes,
            buffered=buffered,
            buffered_bytes=weight,
            dropped=life.outgoing.dropped_count,
            rtt=self.rtt,
            duration=life.counters.duration,
            unread=life.unread,
            handed_over=life.thread.messages,
            handed_over_bytes=life.thread.weight,
            received_wire_bytes=life.counters.received_bytes - life.counters.received_saved,
            sent_wire_bytes=life.counters.sent_bytes - life.counters.sent_saved,
            in_flight=in_flight,
            age=age,
        )

    async def receive(self) -> In:
        """Wait for one message, and read nothing more until it is asked for: a slow reader slows the peer.

        A call that is cancelled, by `asyncio.timeout` say, loses nothing: the next reader gets the message. Raises the
        `Close` that the socket ends with, when all messages have been read. Reads alone: raises `RuntimeError` while
        another `receive()` or `async for` waits, or `incoming` has a subscriber. To subscribe while this waits raises
        it, too.
        """
        async for message in self:
            return message
        raise Close.received(*cast("Close", self._life.close_cause).args)

    async def send(self, message: Out) -> None:
        """Send a message as `outgoing.on_next` does, then wait for `room`: for producers that can wait.

        Args:
            message: The message, as `outgoing.on_next` takes it.

        >>> async def upload(socket, parts):
        ...     for part in parts:
        ...         await socket.send(part)
        """
        self.outgoing.on_next(message)
        self._sends += 1
        if self._sends % SENDS_A_TURN == 0:
            await asyncio.sleep(0)
        await self.room()

    async def room(self) -> None:
        """Wait for the peer, if more than `high_water` bytes wait in `outgoing`: until less than a quarter of it does.

        A producer that waits here sends at the pace of the peer, and overflows nothing. A client that is offline takes
        what `offline` and `max_buffered` allow; this waits for its next connection. Raises the `Close` that the socket
        ends with.
        """
        await self._life.outgoing.room()
        if self._life.close_cause is not None:
            raise Close.received(*self._life.close_cause.args)

    @property
    def _readers(self) -> Readers[In]:
        return self._life.incoming.readers

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send what is queued, then close with `code` and `reason`; returns at once, `closed` tells when it is done.

        The connection ends within `close_timeout` seconds, whatever the peer does. A second close does nothing.
        From any thread. Raises `ValueError` for what may not go on the wire, see `Close`.

        Args:
            code: The close code.
            reason: The reason, at most 123 bytes of UTF-8.
        """
        self._life.thread.run_last(self._life.close, Close(code, reason))

    def dispose(self) -> None:
        """Close with 1000; idempotent, from any thread."""
        self._life.dispose()

    def __iter__(self) -> Iterator[Any]:
        """Unpack into the three streams."""
        return iter((self.incoming, self.outgoing, self.errors))

    def __aiter__(self) -> AsyncIterator[In]:
        """Iterate over the messages until the socket closes: `async for message in socket`.

        Each step is a `receive()`. A socket has one iterator: a second loop goes on where the first one stopped.
        """
        if self._cursor is None:
            self._cursor = Cursor(self._readers)
        return self._cursor

    def __repr__(self) -> str:
        cause = self._life.close_cause
        state = "connecting" if self._life.connection is None else "open"
        return f"<WebSocket {self.remote or 'nowhere'} {cause or state}>"


@asynccontextmanager
async def closing_on_exit(life: Lifecycle) -> AsyncGenerator[None, None]:
    """Flush, close with 1000 and wait at the end; with 1011, or its `Close`, if it raises; at once if cancelled.

    What it raises is raised on, but for a `Close` that closed the socket.
    """
    try:
        try:
            yield
            life.close(Close())
        except Exception as error:
            has_ended = life.close_cause is not None
            _, rest = parted(error, Close)
            if rest is not None:
                life.reports.show(rest)
            life.close(close_for(error))
            await life.closed
            if has_ended or rest is not None:
                raise  # if it has ended, receive() said so
        await life.closed
    finally:
        life.abort()
