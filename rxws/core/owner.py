"""The socket, as its parts see it: `Lifecycle` is the one that they belong to.

A client's connection belongs to its `Greeter` before.
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
    """Where a connection has the messages from that it sends."""

    @property
    def waits(self) -> bool:
        """Whether any message waits."""
        ...

    def next_items(self, limit: int) -> list[Frame]:
        """Give up the next messages: they weigh `limit` at most, or are one."""
        ...

    def conflate(self) -> None:
        """Let the policy choose among those that wait, since the peer does not keep up."""


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
        """Take what a function has raised that is called for the connection."""

    def message_refused(self, connection: Any, error: Exception) -> None:
        """Take what came of a message: that it does not decode."""

    def note(self, error: Exception) -> None:
        """Take what the peer has done, which ends the connection."""

    def beat(self) -> None:
        """Look whether anyone reads; a connection says when, each time that it pings."""
        ...

    def close(self, close: Close) -> None:
        """Close."""

    def transport_lost(self, connection: Any) -> None:
        """End the holds that wait for the peer to read: nothing more goes there, and the end waits for what came."""

    def connection_lost(self, error: ConnectionLost) -> None:
        """Report that a connection was lost without a close frame."""

    def connection_ending(self, connection: Any, because: Exception) -> None:
        """Close, or go offline: the peer, or its absence, ends a connection."""

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
