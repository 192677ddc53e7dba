"""What a hub measures, in the terms of OpenTelemetry: the one description that every exporter follows.

There is no convention for WebSockets, so names and units follow the nearest: those of SignalR's and Kestrel's
connections, `network.io.direction`, `error.type`. An attribute without a convention has a name that begins with `rxws`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from rxws.server.hub import Hub
from rxws.stats import MAX_KINDS, OTHER, HubStats

DURATION: Final = "rxws.server.connection.duration"
"""A histogram, in seconds, with the bounds `rxws.stats.DURATIONS`."""

LOOP_LAG: Final = "rxws.server.event_loop.lag"
DURATION_DESCRIPTION: Final = "How long the closed WebSockets were open"


CODES: Final = (1000, 1001, 1002, 1006, 1007, 1008, 1009, 1011, 1013)
REASONS: Final = ("handshake", "origin", "limit", "shutdown")
"""What is told from the start, as zero: of a series that begins at one, no rate shows its first increment."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One number, or one for each value of an attribute; a `counter` only grows, a `gauge` says what is now."""

    name: str
    kind: Literal["counter", "gauge"]
    unit: str
    """In UCUM: `By`, `s`, or an annotation such as `{message}`."""
    description: str
    read: Callable[[Hub, HubStats], Mapping[str, float]]
    """Gives the numbers by the attribute's value; by the empty string where there is no attribute."""
    attribute: str | None = None
    combine: Callable[[Iterable[float]], float] = sum
    """Makes one number of those of several processes: `sum` or `max`."""


def _codes(totals: dict[int, int]) -> dict[str, int]:
    """Name the codes that came first; beyond 64 of them, which are peers' fancies, they are one."""
    codes = list((dict.fromkeys(CODES, 0) | totals).items())
    named = {str(code): number for code, number in codes[:MAX_KINDS]}
    others = sum(number for _, number in codes[MAX_KINDS:])
    return named | {OTHER: others} if others else named


INSTRUMENTS: Final = (
    Instrument("rxws.server.active_connections", "gauge", "{connection}",
        "WebSockets that are open",
        lambda hub, _: {"": len(hub)}),
    Instrument("rxws.server.held_connections", "gauge", "{connection}",
        "Open WebSockets that are not read while their own side is busy",
        lambda _, stats: {"": stats.held}),
    Instrument("rxws.server.opened_connections", "counter", "{connection}",
        "WebSockets that were opened",
        lambda hub, _: {"": hub.opened_total}),
    Instrument("rxws.server.closed_connections", "counter", "{connection}",
        "WebSockets that were closed, by close code",
        lambda hub, _: _codes(hub.closed_total), "rxws.close.code"),
    Instrument("rxws.server.refused_connections", "counter", "{connection}",
        "Handshakes that were refused, by reason",
        lambda hub, _: dict.fromkeys(REASONS, 0) | hub.refused_total, "rxws.refusal.reason"),
    Instrument("rxws.server.messages", "counter", "{message}",
        "Messages received and handed to the transport",
        lambda _, stats: {"receive": stats.received, "transmit": stats.sent}, "network.io.direction"),
    Instrument("rxws.server.io", "counter", "By",
        "Payload bytes received and handed to the transport",
        lambda _, stats: {"receive": stats.received_bytes, "transmit": stats.sent_bytes}, "network.io.direction"),
    Instrument("rxws.server.wire_io", "counter", "By",
        "Payload bytes as they were on the wire, fewer where messages were compressed",
        lambda _, stats: {"receive": stats.received_wire_bytes, "transmit": stats.sent_wire_bytes},
        "network.io.direction"),
    Instrument("rxws.server.dropped_messages", "counter", "{message}",
        "Messages that overflow policies dropped",
        lambda _, stats: {"": stats.dropped}),
    Instrument("rxws.server.buffered", "gauge", "By",
        "Weight of the messages that wait to be sent",
        lambda _, stats: {"": stats.buffered_bytes}),
    Instrument("rxws.server.in_flight", "gauge", "By",
        "Weight of what is sent and not confirmed, where the overflow policy is latest or latest_by",
        lambda _, stats: {"": stats.in_flight}),
    Instrument("rxws.server.age", "gauge", "s",
        "The longest time from sending to confirmation, over all WebSockets",
        lambda _, stats: {"": stats.age}, combine=max),
    Instrument("rxws.server.errors", "counter", "{error}",
        "Errors of WebSockets, observed or not, by class",
        lambda hub, _: hub.errors_total.copy(), "error.type"),
    Instrument(LOOP_LAG, "gauge", "s",
        "The longest delay of the event loop within the last 30 to 60 s",
        lambda _, stats: {"": stats.loop_lag}, combine=max),
)  # fmt: skip
