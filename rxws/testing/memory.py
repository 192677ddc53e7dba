"""The in-memory wire: a handler on one side, a scripted peer on the other, no network between."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from rxws.closing import Close
from rxws.handlers import Handler
from rxws.lifecycle import Lifecycle
from rxws.options import check
from rxws.socket import WebSocket
from rxws.wire import Endpoint, Frame, Ping, Text


class MemoryWire:
    """A wire that ends in a peer which a test plays; what the socket sends is in `sent`.

    The peer reads at once, unless `congested` is set. It answers a close frame, unless `mute` is set.
    """

    remote: str | None = "memory"

    def __init__(self) -> None:
        self.blind = False
        self.mute = False
        self.pongs = False
        """Whether the peer answers pings by itself."""
        self.unfinished: float | None = None
        self.fresh = False
        self.sent: list[str | bytes] = []
        """The messages the peer has got."""
        self.pings: list[bytes] = []
        """The pings the peer has got."""
        self.close_sent: Close | None = None
        """The close frame the peer has got."""
        self.aborted = False
        self.ignored = False
        """Whether what the peer sends is dropped."""
        self._congested = False
        self._held = False
        self._started = False
        self._ended = False
        self._arrived: deque[str | bytes] = deque()
        self._endpoint: Endpoint | None = None

    # The peer

    def send(self, *messages: str | bytes) -> None:
        """Let messages of the peer's arrive; during a hold they wait."""
        self.unfinished = None
        if not self.ignored:
            self._arrived.extend(messages)
        self._deliver()

    def send_part(self) -> None:
        """Let bytes arrive of a message that is whole with the next `send`."""
        self.unfinished = self.unfinished or asyncio.get_running_loop().time()
        self._peer().part_received()

    def ping(self, number: int = 1) -> None:
        """Let pings of the peer's arrive."""
        for _ in range(number):
            self._peer().ping_received()

    def close(self, close: Close | None = None) -> None:
        """Let a close frame of the peer's arrive; without a code if `None`. It is `mute` no more."""
        self.mute = False
        self._peer().close_received(close or Close.received(1005))
        if self.close_sent is not None:
            self._soon(self.drop)

    def violate(self, code: int = 1002) -> None:
        """Let the peer break the protocol."""
        self._peer().protocol_violated(ValueError("broken frame"), Close(code))

    def pong(self, data: bytes) -> None:
        """Let a pong arrive."""
        if not self._ended:
            self._peer().pong_received(data)

    def drop(self, error: BaseException | None = None) -> None:
        """Lose the connection."""
        if not self._ended:
            self._ended = True
            if self._endpoint is not None:
                self._endpoint.connection_lost(error)

    @property
    def congested(self) -> bool:
        """Whether the peer has stopped reading; set it to `False` and it reads on."""
        return self._congested

    @congested.setter
    def congested(self, value: bool) -> None:
        if self._congested and not value:
            self._congested = False
            self._peer().sign_of_life()
            self.wake()
        self._congested = value

    # The wire

    def start(self, endpoint: Endpoint, *, fresh: bool) -> None:
        """Begin."""
        self._endpoint = endpoint
        self.fresh = fresh
        self._started = True
        self._soon(self._deliver)

    def wake(self) -> None:
        """Take soon what waits."""
        self._soon(self._take)

    def hold(self) -> None:
        """Let what arrives wait."""
        self._held = True

    def resume(self) -> None:
        """Deliver soon what waits."""
        self._held = False
        self._soon(self._deliver)

    def ignore(self) -> None:
        """Drop what arrives."""
        self.ignored = True

    def abort(self) -> None:
        """Drop the connection soon."""
        self.aborted = True
        self._soon(self.drop)

    def _take(self) -> None:
        while not self._congested and not self._ended and self.close_sent is None:
            frame = self._peer().take()
            match frame:
                case Ping(data):
                    self.pings.append(data)
                    if self.pongs:
                        self._soon(lambda data=data: self.pong(data))
                case Frame(data):
                    self.sent.append(data.decode() if frame.opcode == Text.opcode else data)
                case Close():
                    self.close_sent = frame
                    if not self.mute:
                        self._soon(self.drop)
                case None:
                    return

    def _deliver(self) -> None:
        while self._started and self._arrived and not self._held and not self._ended:
            self._peer().message_received(self._arrived.popleft())

    def _peer(self) -> Endpoint:
        assert self._endpoint is not None, "the wire is not started"
        return self._endpoint

    def _soon(self, function: Callable[[], object]) -> None:
        asyncio.get_running_loop().call_soon(function)


def serve(
    handler: Callable[..., Any], *, protocol: str | None = None, **options: Any
) -> tuple[WebSocket[Any, Any], MemoryWire]:
    """Run a handler on an in-memory wire, and return its socket and the peer's end. Needs a running event loop."""
    life = Lifecycle(check(options), protocol)
    socket = WebSocket[Any, Any](life)
    wire = MemoryWire()
    start = Handler(handler).compose(life, socket)
    life.open(wire, protocol)
    start()
    return socket, wire
