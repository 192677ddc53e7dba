"""What a client sends first on a connection: a login, for example, and the wait for its answer."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Generic, TypeVar, cast

import aiohttp

from rxws.checks import called
from rxws.client.refusals import refusal_of_function
from rxws.close import Close
from rxws.codecs import Codec
from rxws.core.connection import Connection
from rxws.core.encoding import encode, is_pure
from rxws.core.lifecycle import Lifecycle
from rxws.core.weighing import weigh
from rxws.core.wire import Frame, Limited
from rxws.errors import ConnectError, ConnectionLost, EncodeError, close_for, leaves
from rxws.options import Settings
from rxws.rx.foreign import as_error, described, without_frames
from rxws.rx.loop_thread import set_result

In = TypeVar("In")
Out = TypeVar("Out")

EXPECTED: Final = "a message, a tuple of messages, or a coroutine function that takes the connection"


class Greeting(Generic[In, Out]):
    """A connection during its greeting: the argument of the function given as `greet`.

    Messages that you send here go out on this connection only: they are not sent again on another one, and `outgoing`
    and `undelivered` do not show them. Messages that you receive here are not emitted by `incoming`. Other messages
    wait for `incoming`, in order. If the connection ends, `receive` and `send` raise its error, and the function is
    cancelled. After the function has returned, both raise `RuntimeError`: use the socket from then on.
    """

    def __init__(self, greeter: Greeter) -> None:
        self._greeter = greeter

    @property
    def protocol(self) -> str | None:
        """The negotiated subprotocol, if there is one."""
        return self._greeter.protocol

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the server's answer to the handshake; names are case-insensitive."""
        return self._greeter.headers

    async def send(self, message: Out) -> None:
        """Send a message, and wait until the transport has taken it.

        Raises `EncodeError`, or the error that ends the connection.

        Args:
            message: The message.
        """
        await self._greeter.send(message)

    async def receive(self, matches: Callable[[In], bool] | None = None) -> In:
        """Wait for one message, or for the first that `matches`; earlier messages wait for `incoming`, in order.

        For example, a broker may send the first messages of one subscription before it confirms the next one. With
        `matches`, none of them is lost. Cancelling a call, by `asyncio.timeout` for example, loses nothing. Raises
        `DecodeError` for a message that the codec refuses, `RuntimeError` while another call waits, and `ConnectError`
        when the messages passed over take more than `max_buffered` bytes.

        Args:
            matches: Returns whether a message is the one to wait for; `None`: the next one is.
        """
        return await self._greeter.receive(matches)


Greet = Callable[[Greeting[In, Any]], Awaitable[object]] | Any
"""What a connection is greeted with: a message, a tuple of messages, or a coroutine function."""


def check_greet(greet: Any, settings: Settings) -> None:
    """Raise `TypeError` for a `greet` that cannot work. Its messages may be secret, so the error does not show them."""
    if callable(greet):
        try:
            inspect.signature(greet).bind(None)
        except (TypeError, ValueError):
            fits = False
        else:
            fits = not (isinstance(greet, type) or inspect.isasyncgenfunction(greet))
        if not fits:
            raise TypeError(f"greet must be {EXPECTED}, not {greet!r}")
    elif greet is not None and settings.protocol_codecs is None and is_pure(codec := settings.codec):
        for message in _messages(greet):
            try:
                encode(cast("Codec[Any, Any]", codec), message, keep=False)
            except EncodeError as error:
                why = described(error.__cause__, str)
                raise TypeError(f"greet holds a {type(message).__name__} that the codec cannot encode: {why}") from None


def _messages(greet: Any) -> tuple[Any, ...]:
    return cast("tuple[Any, ...]", greet) if type(greet) is tuple else (greet,)  # a NamedTuple is one message


class Greeter:
    """Owns a connection until its greeting is done, and is the queue of what goes out meanwhile.

    It reads only while the greeting waits for a message. Memory: one unread message, those that `receive` has passed
    over, up to `max_buffered` bytes, and one to send for each task that waits in `send`.
    """

    def __init__(
        self, life: Lifecycle, connection: Connection, protocol: str | None, headers: Mapping[str, str]
    ) -> None:
        self.counters = life.counters
        self.protocol = protocol
        self.headers = headers
        self.because: Exception | None = None
        """The error that ends the connection; `None` while it goes on."""
        self._life = life
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[Frame, asyncio.Future[None]]] = deque()
        self._unread: deque[tuple[Any, Exception | None]] = deque()  # messages, or in their place errors
        self._awaited: asyncio.Future[None] | None = None  # done when a message has come that `receive` waits for
        self._over = False
        self._ending: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self.connection = connection
        self.connection.belong(self, self._emit, self)

    async def greet(self, greet: Any, until: float, open_timeout: float) -> Greeter:
        """Greet, at most until `until` in the event loop's time; return self.

        If the greeting fails, close the connection, and raise the error.
        """
        failure = await self._try(greet, until, open_timeout)
        self._over = True
        self._wake()
        if failure is None:
            return self
        self.because = None
        try:
            raise failure from failure.__cause__
        finally:
            del failure  # whose traceback has this frame

    async def prove(self, within: float) -> None:
        """Send a ping, and wait for `within` seconds, or until the peer sends anything or leaves.

        A server that allows one session may accept a second connection only to close it. This shows whether it did.
        """
        self.check()
        connection = self.connection
        assert connection.receipts is not None
        connection.start(held=True)
        self._awaited = self._loop.create_future()
        answer = self._loop.create_task(connection.receipts.answer(), name="rxws rotation")
        connection.wire.resume()
        try:
            anything = {answer, self._awaited, self._ending}
            await asyncio.wait(anything, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:
            answer.cancel()
            self._awaited = None
            if self.because is None:
                connection.wire.hold()

    def check(self) -> None:
        """Raise `ConnectionLost` if the connection ended before the socket took it over."""
        if self.because is not None:
            raise ConnectionLost(f"the successor ended before it took over: {self.because!r}") from self.because

    def hand_over(self) -> None:
        """Pass on to the socket, which has the connection now, the messages that the greeting did not receive."""
        for message, error in self._unread:
            if error is None:
                self._life.incoming.readers.put(message)
            else:
                self._life.message_refused(self.connection, error)

    # What the greeting calls

    async def send(self, message: Any) -> None:
        """Send a message on this connection; wait until the transport has taken it."""
        self._check()
        frame = Limited(encode(self.connection.codec, message), connection=self.connection)
        item = frame, self._loop.create_future()
        self._queue.append(item)
        self.connection.wire.wake()
        try:
            await item[1]
        finally:
            if left := item in self._queue:
                self._queue.remove(item)
        if left:
            self._check()

    async def receive(self, matches: Callable[[Any], bool] | None) -> Any:
        """Wait for the next message that matches, and remove it."""
        if self._awaited is not None:
            raise RuntimeError("another receive() of this greeting waits for the next message")
        called("matches", matches)
        at = weight = 0
        while True:
            if self._over:
                self._check()
            if at == len(self._unread):
                self._check()
                await self._wait_for_more()
                continue
            message, error = self._unread[at]
            if error is not None or matches is None or matches(message):
                del self._unread[at]
                if error is not None:
                    raise error
                return message
            at += 1
            weight += weigh(message)
            if weight > (limit := self._life.settings.max_buffered):
                message = f"more than {limit} bytes came before the message that the greeting waits for"
                raise ConnectError(message, "greeting")

    async def _wait_for_more(self) -> None:
        self._awaited = self._loop.create_future()
        self.connection.wire.resume()
        try:
            await self._awaited
        finally:
            self._awaited = None
            if not self._over and self.because is None:
                self.connection.wire.hold()

    def _check(self) -> None:
        """Raise an error if the greeting can no longer send or receive."""
        if self._over:
            raise RuntimeError("the greeting is over: send and receive with the socket, once it is open")
        if self.because is not None:
            raise Close.received(*self.because.args) if isinstance(self.because, Close) else self.because

    async def _say(self, greet: Any) -> None:
        if not callable(greet):
            for message in _messages(greet):
                await self.send(message)
            return
        result: Any = greet(Greeting[Any, Any](self))
        if not inspect.isawaitable(result):
            raise TypeError(f"greet must be {EXPECTED}: {greet!r} returned {type(result).__name__}")
        await result

    # How it fails

    async def _try(self, greet: Any, until: float, open_timeout: float) -> Exception | None:
        """Greet; if that fails, close the connection, and return the error."""
        self.connection.start(held=True, greeting=True)
        work = self._loop.create_task(self._say(greet), name="rxws greeting")
        try:
            left = max(0.0, until - self._loop.time())
            await asyncio.wait({work, self._ending}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self._cut(work)
            raise
        failure = self._failure(work, open_timeout)
        if failure is not None:
            close = without_frames(close_for(failure).passed_on())
            await self._leave(work, failure, close, self._life.settings.close_timeout)
        return failure

    def _failure(self, work: asyncio.Task[None], open_timeout: float) -> Exception | None:
        """Return why the greeting failed: its own error, or the one that ended the connection; `None` if it did not."""
        if not work.done():
            message = f"no connection within {open_timeout:g} s: the greeting was not done"
            return self.because or ConnectError(message, "timeout")
        if work.cancelled():
            return ConnectError("what the greeting waited for was cancelled", "greeting")
        if (error := work.exception()) is None:
            return self.because
        failure = as_error(error, "a greeting")
        if all(isinstance(one, aiohttp.ClientError) for one in leaves(error)):
            failure = refusal_of_function(failure, f"the greeting failed: {described(error, str)}", "greeting")
            failure.__cause__ = error
        return failure

    async def _cut(self, work: asyncio.Task[None]) -> None:
        """Close the connection, since its attempt was cancelled: with the `Close` of the socket, if there is one."""
        cause, timeout = self._life.close_cause, self._life.settings.close_timeout
        because = ConnectionLost("the greeting was cut short")
        if cause is None or cause.code == 1006:
            await self._leave(work, because, None, timeout)
        else:
            await self._leave(work, because, cause.passed_on(), self._life.due - self._loop.time())

    async def _leave(self, work: asyncio.Task[None], because: Exception, close: Close | None, within: float) -> None:
        """Close the connection, or drop it without a `Close`; wait until it and the function have ended."""
        self._stop(because)
        work.cancel()
        try:
            if not self._closed.done():
                if close is None:
                    self.connection.wire.abort()
                else:
                    self.connection.begin_closing(close, close)
                    self.connection.wire.resume()
            await asyncio.wait({work, self._closed}, timeout=max(0.0, within))
        finally:
            if not self._closed.done():
                self.connection.wire.abort()
        if not work.done():
            self._life.reports.log.write(logging.ERROR, "stuck", "a greeting ignores its cancellation")

    def _stop(self, because: Exception) -> None:
        if self.because is None:
            self.because = because
            self._wake()
            set_result(self._ending, None)

    def _wake(self) -> None:
        for _, taken in self._queue:
            set_result(taken, None)
        if self._awaited is not None:
            set_result(self._awaited, None)

    # The queue of the connection, and its owner

    @property
    def held(self) -> bool:
        """Whether reading stops: no `receive` waits for a message."""
        return self._awaited is None or self._awaited.done()

    @property
    def waits(self) -> bool:
        """Whether any message waits to be sent."""
        return bool(self._queue)

    def next_items(self, limit: int) -> list[Frame]:
        """Remove and return the next message, if there is one."""
        if not self._queue:
            return []
        frame, taken = self._queue.popleft()
        self.counters.sent += 1
        self.counters.sent_bytes += len(frame.data)
        set_result(taken, None)
        return [frame]

    def conflate(self) -> None:
        """Do nothing: the greeting awaits each of its messages."""

    def _emit(self, message: Any, error: Exception | None = None) -> None:
        """Keep a message for the greeting, and stop reading."""
        self.connection.wire.hold()
        self._unread.append((message, error))
        if self._awaited is not None:
            set_result(self._awaited, None)

    def report(self, error: Exception) -> None:
        """Keep an error in place of a message."""
        self._emit(None, error)

    def message_refused(self, connection: Connection, error: Exception) -> None:
        """Keep an error in place of a message that did not decode."""
        self._emit(None, error)

    def note(self, error: Exception) -> None:
        """Do nothing: the error ends the connection, and `connection_ending` gets it, too."""

    def beat(self) -> None:
        """Do nothing: a greeting may stop reading."""

    def close(self, close: Close) -> None:
        """Close the connection."""
        self.connection.begin_closing(close, close)
        self._stop(close)

    def transport_lost(self, connection: Connection) -> None:
        """Do nothing: a greeting holds no sources."""

    def connection_lost(self, error: ConnectionLost) -> None:
        """Do nothing: `connection_ending` gets the error, too."""

    def connection_ending(self, connection: Connection, because: Exception) -> None:
        """Let the greeting fail."""
        self._stop(because)

    def connection_closed(self, connection: Connection) -> None:
        """Record that the connection has ended."""
        self._stop(connection.cause or ConnectionLost("the connection ended"))
        set_result(self._closed, None)
        del self.connection  # which refers to this
