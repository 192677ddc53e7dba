"""What a socket needs from a transport, and what a transport needs from a socket.

The socket never awaits its wire and the wire never buffers messages: the wire *pushes* what it reads into its
`Endpoint`, and *pulls* what it may write from it. So there is one buffer (the socket's `outgoing`), one writer
(the wire), and a new transport is one new module.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from rxws.closing import Close


class Text(NamedTuple):
    """A text message, encoded as UTF-8."""

    data: bytes


class Binary(NamedTuple):
    """A binary message."""

    data: bytes


class Ping(NamedTuple):
    """A ping of our own; the peer's pong comes back with the same data (RFC 6455, section 5.5.2)."""

    data: bytes


class Endpoint(Protocol):
    """The socket, as its wire sees it. All calls come from the event loop's thread."""

    def take(self) -> Text | Binary | Ping | Close | None:
        """Give up the next frame to write, or `None` if there is none now; nothing follows a `Close`."""
        ...

    def message_received(self, data: str | bytes) -> None:
        """Take a whole data message: `str` of a text one, `bytes` of a binary one."""
        ...

    def sign_of_life(self) -> None:
        """Take note of a ping of the peer's, or that a congested transport has room again."""
        ...

    def pong_received(self, data: bytes) -> None:
        """Take a pong."""
        ...

    def close_received(self, close: Close) -> None:
        """Take the peer's close frame; the wire reads nothing after it. `take` then gives the answer."""
        ...

    def protocol_violated(self, error: Exception, close: Close) -> None:
        """Take a violation by the peer; the wire reads nothing after it. `take` then gives the `Close`."""
        ...

    def connection_lost(self, error: BaseException | None) -> None:
        """Take the end of the transport, the last call, once, and never from within a call of the socket's."""
        ...


class Wire(Protocol):
    """A transport that speaks WebSocket, as its socket sees it. No call blocks, none calls back at once."""

    @property
    def remote(self) -> str | None:
        """The peer's address."""
        ...

    @property
    def congested(self) -> bool:
        """Whether the transport takes no more for now: the peer reads slower than we write."""
        ...

    @property
    def blind(self) -> bool:
        """Whether a hold keeps the wire from seeing control frames: it has read ahead as far as it may."""
        ...

    def start(self, endpoint: Endpoint, *, fresh: bool) -> None:
        """Begin to read and write. With `fresh`, keep as little as possible between `take` and the peer."""
        ...

    def wake(self) -> None:
        """Say that `take` has something; the wire takes it as soon as the transport has room."""
        ...

    def hold(self) -> None:
        """Deliver no more messages until `resume`. Control frames and the connection's end still come."""
        ...

    def resume(self) -> None:
        """End a hold."""
        ...

    def abort(self) -> None:
        """Drop the connection at once, with all that was not sent; `connection_lost` follows soon."""
        ...
