"""What the parts of a socket ask of the object that they belong to, which is its `Lifecycle`.

While a client greets the server, the `Greeter` owns the new connection. Then it hands that over to the `Lifecycle`.
"""

from __future__ import annotations

from typing import Any, Protocol

from rxws.close import Close
from rxws.core.reports import Reports
from rxws.core.wire import Frame
from rxws.errors import ConnectionLost
from rxws.rx.holds import Source
from rxws.stats import Counters


class Queue(Protocol):
    """Where a connection takes the messages from that it sends."""

    @property
    def waits(self) -> bool:
        """Whether any message waits."""
        ...

    def next_items(self, limit: int) -> list[Frame]:
        """Give up the next messages: they weigh `limit` at most, or are one."""
        ...

    def conflate(self) -> None:
        """Let the overflow policy choose among the messages that wait: the peer does not keep up."""


class ConnectionOwner(Protocol):
    """What a connection asks of its owner."""

    counters: Counters

    @property
    def connection(self) -> Any:
        """The connection that takes what is sent, if there is one."""
        ...

    @property
    def held(self) -> bool:
        """Whether nothing is to be read for now."""
        ...

    def report(self, error: Exception) -> None:
        """Take the error of a function that was called for the connection, such as a codec, or one of `Heartbeat`."""

    def message_refused(self, connection: Any, error: Exception) -> None:
        """Take the error of a message that does not decode."""

    def note(self, error: Exception) -> None:
        """Take a violation by the peer; it also ends the connection, which `connection_ending` says."""

    def beat(self) -> None:
        """Check whether anyone reads what has come. A connection calls this with each ping of its heartbeat."""
        ...

    def close(self, close: Close) -> None:
        """Close."""

    def transport_lost(self, connection: Any) -> None:
        """End the holds that wait for the peer to read: nothing can be sent, though messages that came still wait."""

    def connection_lost(self, error: ConnectionLost) -> None:
        """Report that a connection was lost without a close frame."""

    def connection_ending(self, connection: Any, because: Exception) -> None:
        """Close the socket, or go offline: a connection ends that the socket has not closed itself."""

    def connection_closed(self, connection: Any) -> None:
        """Forget a connection: its transport was lost."""


class Owner(ConnectionOwner, Source, Protocol):
    """What `outgoing` asks of its socket."""

    reports: Reports

    @property
    def congested(self) -> bool:
        """Whether the transport is full for now."""
        ...

    @property
    def is_lost(self) -> bool:
        """Whether nothing more can be sent, and the connection's end waits for messages that came before."""
        ...

    def overflow(self) -> None:
        """Close, since the buffer is full."""
