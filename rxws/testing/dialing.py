"""A network for clients, in memory: connections that open, refuse and break as a test says."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from rxws.backoff import Backoff
from rxws.client.connecting import Connect
from rxws.options import check
from rxws.testing.memory import MemoryWire


class MemoryDialer:
    """Opens in-memory wires, one for every attempt, unless `refusals` holds the error that it meets."""

    def __init__(self) -> None:
        self.wires: list[MemoryWire] = []
        """The peers' ends of the connections so far."""
        self.refusals: deque[Exception] = deque()
        """What the next attempts meet."""
        self.target: str | None = None
        """What the log calls it."""
        self.attempts = 0
        self.protocol: str | None = None
        """The subprotocol that is negotiated."""
        self.closed = False
        self.answering = asyncio.Event()
        """Cleared, attempts wait."""
        self.answering.set()

    @property
    def peer(self) -> MemoryWire:
        """The newest connection."""
        return self.wires[-1]

    async def dial(self) -> tuple[MemoryWire, str | None]:
        """Open a connection, or raise."""
        self.attempts += 1
        await self.answering.wait()
        if self.refusals:
            raise self.refusals.popleft()
        wire = MemoryWire()
        wire.pongs = True
        self.wires.append(wire)
        return wire, self.protocol

    async def close(self) -> None:
        """Take note that the client is done."""
        self.closed = True


def connect(dialer: MemoryDialer, reconnect: Backoff | None = None, **options: Any) -> Connect[Any, Any]:
    """Connect as `rxws.connect` does, but in memory."""
    return Connect(dialer, check(options), reconnect)
