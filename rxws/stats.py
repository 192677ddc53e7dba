"""What went through a socket, counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """The running counts of a socket, over all its connections."""

    received: int = 0
    received_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0


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
