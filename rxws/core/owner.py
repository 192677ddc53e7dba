"""The socket, as its parts see it: `Lifecycle` is the one that they belong to."""

from __future__ import annotations

from typing import Any, Protocol

from rxws.close import Close
from rxws.core.reports import Reports
from rxws.errors import ConnectionLost
from rxws.rx.holds import Source
from rxws.stats import Counters


class Owner(Source, Protocol):
    """What connections and `outgoing` ask of their socket."""

    counters: Counters
    reports: Reports

    @property
    def congested(self) -> bool:
        """Whether the transport takes no more for now."""
        ...

    def beat(self) -> None:
        """Look whether anyone reads; a connection says when, each time that it pings."""
        ...

    def close(self, close: Close) -> None:
        """Close."""

    def overflow(self) -> None:
        """Close, since the buffer is full."""

    def connection_lost(self, error: ConnectionLost) -> None:
        """Report that a connection is gone without a close frame."""

    def connection_ending(self, connection: Any, because: Exception) -> None:
        """Close, or go offline: the peer, or its absence, ends a connection."""

    def connection_closed(self, connection: Any) -> None:
        """Forget a connection: its transport is gone."""
