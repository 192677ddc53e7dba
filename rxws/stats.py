"""What went through a socket, and through all of a hub's, counted."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["DURATIONS", "HubStats", "Stats"]

MAX_KINDS: Final = 64
"""Kinds that are counted apart."""

OTHER: Final = "_OTHER"
"""What the kinds beyond are counted under; OpenTelemetry's word for it."""

DURATIONS: Final = (0.1, 1.0, 10.0, 60.0, 300.0, 1800.0, 3600.0, 10800.0, 43200.0, 86400.0)
"""Seconds: the upper bounds, inclusive, between which the durations of sockets are counted; from a blink to a day."""


@dataclass(slots=True)
class Counters:
    """The running counts of a socket, over all its connections."""

    received: int = 0
    received_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0
    received_saved: int = 0
    """Bytes of payloads that compression has kept off the wire."""
    sent_saved: int = 0
    clock: Callable[[], float] = time.monotonic
    opened: float | None = None
    """When it opened first, by the clock."""
    ended: float | None = None
    """When it ended."""

    @property
    def duration(self) -> float:
        """Seconds from the opening to the end, or to now; 0 before."""
        if self.opened is None:
            return 0.0
        return (self.clock() if self.ended is None else self.ended) - self.opened


@dataclass(frozen=True, slots=True)
class Stats:
    """What went through a socket so far."""

    received: int
    """Messages received."""
    received_bytes: int
    """Bytes of their payloads."""
    sent: int
    """Messages handed to the transport."""
    sent_bytes: int
    """Bytes of their payloads."""
    buffered: int
    """Messages waiting in `outgoing`."""
    buffered_bytes: int
    """Their weight as `max_buffered` counts it: payload bytes plus 64 for each message."""
    dropped: int
    """Messages the overflow policy has dropped."""
    rtt: float | None
    """Round trip in seconds, of the last answered ping."""
    duration: float
    """Seconds from the opening to the end, or to now."""
    unread: int = 0
    """Messages that have come and wait for a reader, or for one that is busy: as far as they are read ahead, 64 KiB."""
    handed_over: int = 0
    """Messages that other threads have sent and the event loop has not come to."""
    handed_over_bytes: int = 0
    """Their weight, about as `buffered_bytes` counts it."""
    received_wire_bytes: int = 0
    """Bytes of the payloads received as they were on the wire: `received_bytes`, unless they were compressed."""
    sent_wire_bytes: int = 0
    """The same of what was sent. A message counts as it is until the transport has it, compressed."""
    in_flight: int | None = None
    """Weight of what was sent and is not confirmed by the peer; `None` unless `overflow` is `"latest"` or `latest_by`.

    `None`, too, while there is no connection, and for a peer that answers no pings.
    """
    age: float | None = None
    """Seconds from sending to confirmation: of the last confirmed, or of an older one so far. `None` as above."""


@dataclass(slots=True)
class HubStats:
    """What went through all sockets of a hub so far, the open and the closed ones."""

    received: int = 0
    """Messages received."""
    received_bytes: int = 0
    """Bytes of their payloads."""
    sent: int = 0
    """Messages handed to the transports."""
    sent_bytes: int = 0
    """Bytes of their payloads."""
    dropped: int = 0
    """Messages the overflow policies have dropped."""
    buffered: int = 0
    """Messages waiting now in the `outgoing` of the open sockets."""
    buffered_bytes: int = 0
    """Their weight as `max_buffered` counts it."""
    in_flight: int = 0
    """Weight of what the open sockets have sent and their peers have not confirmed, where `overflow` conflates."""
    age: float = 0.0
    """Seconds from sending to confirmation, of the open socket for which that is longest; 0 if none conflates."""
    held: int = 0
    """Open sockets from which nothing is read now, since their own side is busy."""
    durations: list[int] = field(default_factory=lambda: [0] * (len(DURATIONS) + 1))
    """Closed sockets by how long they were open: up to each of the seconds in `DURATIONS`, and longer."""
    duration: float = 0.0
    """Seconds that the closed sockets were open, together."""
    received_wire_bytes: int = 0
    """Bytes of the payloads received as they were on the wire: fewer, if they were compressed."""
    sent_wire_bytes: int = 0
    """The same of what was sent."""
    loop_lag: float = 0.0
    """Seconds by which the event loop was late, at worst within the last 30 to 60 s."""

    def add(self, counters: Counters, dropped: int) -> None:
        """Add what went through one socket."""
        self.received += counters.received
        self.received_bytes += counters.received_bytes
        self.sent += counters.sent
        self.sent_bytes += counters.sent_bytes
        self.received_wire_bytes += counters.received_bytes - counters.received_saved
        self.sent_wire_bytes += counters.sent_bytes - counters.sent_saved
        self.dropped += dropped

    def add_duration(self, seconds: float) -> None:
        """Count a socket that has closed."""
        self.durations[bisect_left(DURATIONS, seconds)] += 1
        self.duration += seconds


def tally(totals: dict[str, int], kind: str) -> None:
    """Count one of a kind; the kinds beyond 64, which a peer may make up, count as one.

    >>> totals = {}
    >>> for kind in ("a", "b", "a"):
    ...     tally(totals, kind)
    >>> totals
    {'a': 2, 'b': 1}
    """
    if kind not in totals and len(totals) >= MAX_KINDS:
        kind = OTHER
    totals[kind] = totals.get(kind, 0) + 1
