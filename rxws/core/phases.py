"""The phases of a socket, of its connections and of their wires, and which may follow which.

`docs/architecture.md` draws them from `TRANSITIONS`; a test walks what the fuzzing machine reaches.
"""

from __future__ import annotations

import logging
from enum import Enum
from typing import Any, Final

from rxws.core.log import log_line

logger = logging.getLogger("rxws")


class _Phase(Enum):
    """A phase; hashed by its identity, as each change looks it up."""

    __hash__ = object.__hash__


class SocketPhase(_Phase):
    """A socket, over all its connections."""

    CONNECTING = "The first connection is on its way."
    OPEN = "A connection takes what is sent."
    OFFLINE = "The connection has ended, and another one follows."
    PARTING = "It closes, and waits for the connection on its way to send what is queued."
    CLOSING = "It closes: its connections come to their ends."
    FINISHING = "Its connections have ended: operators finish the items that they have in hand."
    CLOSED = "It is over."


class ConnectionPhase(_Phase):
    """One connection, from the handshake to the end of its transport."""

    OPEN = "It sends and listens."
    RETIRING = "Its successor is there: it listens, and sends only while no pong can be read."
    LEAVING = "It closes after its successor took over: it still listens."
    FLUSHING = "It closes: it sends what is queued, then the close frame."
    CLOSING = "It closes: it sends the close frame, if there is one to send."
    CLOSED = "The transport has closed."


class WirePhase(_Phase):
    """What a wire does with what the peer sends."""

    NEW = "It is not started."
    READING = "It hands on what comes."
    IGNORING = "It drops what comes, and waits for the peer to leave."
    PEER_CLOSED = "The peer's close frame has come: nothing counts after it."
    LOST = "The transport was lost."


Phase = SocketPhase | ConnectionPhase | WirePhase

TRANSITIONS: Final[dict[Phase, tuple[Phase, ...]]] = {
    SocketPhase.CONNECTING: (SocketPhase.OPEN, SocketPhase.PARTING, SocketPhase.CLOSING),
    SocketPhase.OPEN: (SocketPhase.OFFLINE, SocketPhase.CLOSING),
    SocketPhase.OFFLINE: (SocketPhase.OPEN, SocketPhase.PARTING, SocketPhase.CLOSING),
    SocketPhase.PARTING: (SocketPhase.CLOSING,),
    SocketPhase.CLOSING: (SocketPhase.FINISHING, SocketPhase.CLOSED),
    SocketPhase.FINISHING: (SocketPhase.CLOSED,),
    SocketPhase.CLOSED: (),
    ConnectionPhase.OPEN: (ConnectionPhase.RETIRING, ConnectionPhase.FLUSHING, ConnectionPhase.CLOSING),
    ConnectionPhase.RETIRING: (
        ConnectionPhase.OPEN,
        ConnectionPhase.LEAVING,
        ConnectionPhase.FLUSHING,
        ConnectionPhase.CLOSING,
    ),
    ConnectionPhase.LEAVING: (ConnectionPhase.CLOSED,),
    ConnectionPhase.FLUSHING: (ConnectionPhase.CLOSED,),
    ConnectionPhase.CLOSING: (ConnectionPhase.CLOSED,),
    ConnectionPhase.CLOSED: (),
    WirePhase.NEW: (WirePhase.READING, WirePhase.LOST),
    WirePhase.READING: (WirePhase.IGNORING, WirePhase.PEER_CLOSED, WirePhase.LOST),
    WirePhase.IGNORING: (WirePhase.LOST,),
    WirePhase.PEER_CLOSED: (WirePhase.IGNORING, WirePhase.LOST),
    WirePhase.LOST: (),
}
"""The legal changes."""


class Phased:
    """An object that is in a phase; `enter` alone changes it."""

    __slots__ = ()
    phase: Any

    def enter(self, phase: Phase) -> None:
        """Change the phase. An illegal change is a fault of rxws: it is made, so that the end goes on, and logged."""
        before: Phase = self.phase
        self.phase = phase
        if phase not in TRANSITIONS[before]:
            log_line(logger, logging.ERROR, "a bug in rxws: %s went from %s to %s", repr(self), before, phase)

    def advance(self, phase: Phase) -> None:
        """Enter a phase if it may come next: of two ends at a time the first one counts."""
        if phase in TRANSITIONS[self.phase]:
            self.enter(phase)
