"""The in-memory wire: a handler on one side, a scripted peer on the other, no network between."""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

from aiohttp import web

from rxws.close import Close
from rxws.core.handler import OPTIONS, Handler
from rxws.core.lifecycle import Lifecycle
from rxws.core.phases import WirePhase
from rxws.core.socket import WebSocket
from rxws.core.wire import Endpoint, Frame, Ping, PlainWire, Rest, Text
from rxws.options import check
from rxws.server.upgrade import check_origin

Seen = Literal["message", "close", "hold", "resume"]


class MemoryWire(PlainWire):
    """A wire to a peer that the test plays; what the socket sends is in `sent`.

    The peer reads at once, unless `congested` is set. It answers pings, unless `pongs` is `False`, and a close frame,
    unless `mute` is set. As on a real wire, its close and its end do not overtake messages that wait while reading is
    held; they wait with the messages for at most `close_timeout` seconds.

    Args:
        close_timeout: Seconds.
        max_msg_size: Bytes of a message of the peer; a larger one closes the socket with 1009.
    """

    remote: str | None = "memory"

    def __init__(self, close_timeout: float = 5.0, max_msg_size: int | None = None) -> None:
        self.blind = False
        """Whether a hold keeps the wire from seeing control frames; only a test sets it."""
        self.mute = False
        """Whether the peer leaves a close frame without an answer."""
        self.pongs = True
        """Whether the peer answers pings by itself. Set it to `False`, and the heartbeat ends the socket."""
        self.unfinished: float | None = None
        """Since when a message is on its way that is not whole, in the event loop's time; `None` if none is."""
        self.fresh = False
        """Whether the socket has asked to keep what it sends fresh."""
        self.sent: list[str | bytes] = []
        """The messages the peer has got."""
        self.pings: list[bytes] = []
        """The pings the peer has got."""
        self.close_sent: Close | None = None
        """The close frame the peer has got."""
        self.aborted = False
        """Whether the socket has dropped the connection."""
        self.ignored = False
        """Whether what the peer sends is dropped."""
        self.phase = WirePhase.NEW
        """How far the connection is."""
        self.log: list[tuple[float, Seen, Any]] = []
        """What has reached the peer and when, by the event loop's clock, and when reading was held."""
        self._close_timeout = close_timeout
        self._max_msg_size = max_msg_size
        self._congested = False
        self._held = False
        self._delivering = False
        self._arrived: deque[str | bytes | Rest] = deque()
        self._last: list[Callable[[], object]] = []  # what is done when all that has arrived is delivered
        self._deadline: asyncio.TimerHandle | None = None
        self._endpoint: Endpoint | None = None

    # The peer

    def send(self, *messages: str | bytes) -> None:
        """Let messages of the peer arrive; while reading is held they wait. After its close frame they are ignored.

        Args:
            messages: The messages.
        """
        if self.phase is WirePhase.PEER_CLOSED:
            return
        self.unfinished = None
        if not self.ignored:
            self._arrived.extend(messages)
        self._deliver()

    def send_part(self) -> None:
        """Let the first bytes of a message arrive; the next `send` completes it."""
        self.unfinished = self.unfinished or asyncio.get_running_loop().time()
        self._peer().part_received()

    def ping(self, number: int = 1) -> None:
        """Let pings of the peer arrive.

        Args:
            number: How many.
        """
        for _ in range(number):
            self._peer().ping_received()

    def close(self, close: Close | None = None) -> None:
        """Let a close frame of the peer arrive; with `None`, one without a code. The peer is no longer `mute`.

        Args:
            close: What the frame says.
        """
        self._peer()
        self.advance(WirePhase.PEER_CLOSED)
        self._at_last(lambda: self._close(close or Close.received(1005)))

    def violate(self, code: int = 1002) -> None:
        """Let the peer break the protocol.

        Args:
            code: The close code that answers it.
        """
        if not self.ended:
            self._peer().protocol_violated(ValueError("broken frame"), Close(code))

    def pong(self, data: bytes) -> None:
        """Let a pong arrive; after the peer's close frame it is ignored.

        Args:
            data: Its payload.
        """
        if self.phase is WirePhase.READING:
            self._peer().pong_received(data)

    def drop(self, error: BaseException | None = None) -> None:
        """Lose the connection.

        Args:
            error: The error of the transport, if there is one.
        """
        if self._arrived and self._endpoint is not None and not self.ended:
            self._endpoint.transport_lost()
        self._at_last(lambda: self._lose(error))

    @property
    def unread(self) -> int:
        """Messages of the peer that wait while reading is held."""
        return len(self._arrived)

    @property
    def ended(self) -> bool:
        """Whether the connection has ended."""
        return self.phase is WirePhase.LOST

    @property
    def congested(self) -> bool:
        """Whether the peer has stopped reading; set it to `False` to let it read on."""
        return self._congested

    @congested.setter
    def congested(self, value: bool) -> None:
        if self._congested and not value:
            self._congested = False
            self._peer().relieved()
            self.wake()
        self._congested = value

    # The wire

    def start(self, endpoint: Endpoint) -> None:
        """Begin."""
        self._endpoint = endpoint
        self.advance(WirePhase.READING)
        self._soon(self._deliver)

    def wake(self) -> None:
        """Take soon what waits."""
        self._soon(self._take)

    def keep_fresh(self, wanted: bool) -> None:
        """Note it."""
        self.fresh = wanted

    def put_back(self, rest: Rest) -> None:
        """Deliver it before what else has arrived."""
        self._arrived.appendleft(rest)

    def hold(self) -> None:
        """Let what arrives wait."""
        self._held = True
        self._note("hold")

    def resume(self) -> None:
        """Deliver soon what waits."""
        if self._held:
            self._note("resume")
        self._held = False
        self._soon(self._deliver)

    def ignore(self) -> None:
        """Drop what arrives."""
        self.ignored = True
        self.advance(WirePhase.IGNORING)

    def abort(self) -> None:
        """Drop the connection soon."""
        self.aborted = True
        self._soon(lambda: self._lose(None))

    def _take(self) -> None:
        while not self._congested and not self.ended and self.close_sent is None:
            match self._peer().take(0):
                case [Ping(data)]:
                    self.pings.append(data)
                    if self.pongs:
                        self._soon(lambda data=data: self.pong(data))
                case [Frame(), *_] as frames:
                    for frame in frames:
                        self.sent.append(frame.data.decode() if frame.opcode == Text.opcode else frame.data)
                        self._note("message", self.sent[-1])
                case Close() as close:
                    self.close_sent = close
                    self._note("close", close)
                    if not self.mute:
                        self._soon(lambda: self._lose(None))
                case _:
                    return

    def _deliver(self) -> None:
        if self._delivering:
            return  # within a message: this one follows it
        self._delivering = True
        try:
            self._hand_on()
        finally:
            self._delivering = False
        if not self._arrived:
            self._finish()

    def _hand_on(self) -> None:
        while self.phase is not WirePhase.NEW and self._arrived and not self._held and not self.ended:
            peer, message = self._peer(), self._arrived.popleft()
            size, limit = _size_of(message), self._max_msg_size
            if limit is not None and size > limit:
                peer.protocol_violated(ValueError(f"Message size {size} exceeds limit {limit}"), Close(1009))
            else:
                peer.context.copy().run(peer.message_received, message)

    def _at_last(self, action: Callable[[], object]) -> None:
        self._last.append(action)
        if not self._arrived or self.ended:
            self._finish()
        elif self._deadline is None:
            self._deadline = asyncio.get_running_loop().call_later(self._close_timeout, self._finish)

    def _finish(self) -> None:
        actions, self._last = self._last, []
        for action in actions:
            action()

    def _close(self, close: Close) -> None:
        if self.ended:
            return
        self.mute = False
        self._peer().close_received(close)
        if self.close_sent is not None:
            self._soon(lambda: self._lose(None))

    def _lose(self, error: BaseException | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if not self.ended:
            self.enter(WirePhase.LOST)
            if self._endpoint is not None:
                self._endpoint.connection_lost(error)

    def _note(self, seen: Seen, data: Any = None) -> None:
        self.log.append((asyncio.get_running_loop().time(), seen, data))

    def _peer(self) -> Endpoint:
        assert self._endpoint is not None, "the wire is not started"
        return self._endpoint

    def _soon(self, function: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_soon(function)


def _size_of(message: str | bytes | Rest) -> int:
    """Count the bytes of a message; what is left of one has passed already."""
    match message:
        case str():
            return len(message.encode("utf-8", "surrogatepass"))
        case bytes():
            return len(message)
        case _:
            return 0


def serve(
    handler: Callable[..., Any],
    *,
    protocol: str | None = None,
    request: Any = None,
    watch: Callable[[WebSocket[Any, Any]], object] = lambda socket: None,
    **options: Any,
) -> tuple[WebSocket[Any, Any], MemoryWire]:
    """Run a handler on an in-memory wire, and return its socket and the peer's end. Needs a running event loop.

    Options override those of the handler's decorator. Raises the `web.HTTPException` that a `def` handler raises, and
    the one for a foreign `Origin` in the request.

    Args:
        handler: The handler.
        protocol: The subprotocol that was negotiated.
        request: The request that the handler gets: one from aiohttp's `make_mocked_request`, for example.
        watch: A function that gets the socket before the handler runs, to record it for example.
        options: As for `rxws.websocket`.

    >>> from rxws.testing import run_virtually
    >>> async def main():
    ...     socket, peer = serve(lambda incoming: incoming)
    ...     peer.send("hello")
    ...     socket.close()
    ...     await socket.closed
    ...     return peer.sent
    >>> run_virtually(main())
    ['hello']
    """
    function, options = undecorated(handler, options)
    settings = check(options)
    life = Lifecycle(settings, protocol)
    life.make_codec()
    socket = WebSocket[Any, Any](life, request=request)
    wire = MemoryWire(settings.close_timeout, settings.max_msg_size)
    watch(socket)
    try:
        if isinstance(request, web.BaseRequest):
            check_origin(request, settings)
        start = Handler(function).compose(life, socket, (), (web.HTTPException,))
    except BaseException:
        life.abort()
        raise
    life.open(wire, protocol)
    start()
    return socket, wire


def undecorated(handler: Callable[..., Any], options: Mapping[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Give the function within a handler decorated with `rxws.websocket`, and its options, changed by `options`."""
    inner: Any = handler
    if isinstance(inner, functools.partial) and hasattr(inner.func, OPTIONS):
        function, options = undecorated(inner.func, options)
        return functools.partial(function, *inner.args, **inner.keywords), options
    decorated_with: Mapping[str, Any] | None = getattr(handler, OPTIONS, None)
    if decorated_with is None:
        return handler, dict(options)
    function: Any = cast("Any", handler).__wrapped__
    instance = getattr(handler, "__self__", None)
    return function if instance is None else function.__get__(instance), {**decorated_with, **options}
