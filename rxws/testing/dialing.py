"""A network for clients, in memory: connections that open, refuse and break, and peers that play a script."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from rxws.backoff import Backoff
from rxws.client.connecting import Connect
from rxws.client.greeting import check_greet
from rxws.client.reconnect import Dialed
from rxws.close import Close
from rxws.codecs import Codec
from rxws.errors import DecodeError, ProtocolError
from rxws.options import check
from rxws.recording.event import Event, RecordedError
from rxws.recording.plain import as_sent
from rxws.testing.memory import MemoryWire
from rxws.testing.notation import Script


class MemoryDialer:
    """Opens in-memory wires, one for every attempt. If `refusals` holds an error, the attempt fails with it instead."""

    def __init__(self) -> None:
        self.wires: list[MemoryWire] = []
        """The peers' ends of the connections so far."""
        self.refusals: deque[Exception] = deque()
        """The errors of the next attempts, one each."""
        self.target: str | None = None
        """What the log calls the server."""
        self.attempts = 0
        """The attempts so far."""
        self.protocol: str | None = None
        """The subprotocol that is negotiated."""
        self.settings = check({})
        """The options of the client, which the wires follow, too."""
        self.closed = False
        """Whether the client has ended."""
        self.answering = asyncio.Event()
        """While it is cleared, attempts wait."""
        self.answering.set()

    @property
    def peer(self) -> MemoryWire:
        """The newest connection."""
        return self.wires[-1]

    async def dial(self) -> Dialed:
        """Open a connection, or raise."""
        self.attempts += 1
        await self.answering.wait()
        if self.refusals:
            raise self.refusals.popleft()
        wire = MemoryWire(self.settings.close_timeout, self.settings.max_msg_size)
        self.wires.append(wire)
        return Dialed(wire, self.protocol)

    async def close(self) -> None:
        """Record that the client is done."""
        self.closed = True


def connect(
    dialer: MemoryDialer,
    reconnect: Backoff | None = None,
    *,
    greet: Any = None,
    open_timeout: float = 10.0,
    **options: Any,
) -> Connect[Any, Any]:
    """Connect like `rxws.connect`, but in memory. Attempts take no time, so `open_timeout` limits only the greeting.

    Args:
        dialer: What opens the connections.
        reconnect: How the client reconnects.
        greet: The greeting, as for `rxws.connect`.
        open_timeout: Seconds for the greeting.
        options: As for `rxws.connect`.

    >>> from rxws.testing import run_virtually
    >>> async def main():
    ...     dialer = MemoryDialer()
    ...     async with connect(dialer) as socket:
    ...         socket.outgoing.on_next("hello")
    ...     return dialer.peer.sent
    >>> run_virtually(main())
    ['hello']
    """
    settings = check(options, also=("greet", "open_timeout"))
    check_greet(greet, settings)
    dialer.settings = settings
    return Connect(dialer, settings, reconnect, greet, open_timeout)


def play(wire: MemoryWire, script: Script, codec: Codec[Any, Any], then: Callable[[], object]) -> None:
    """Let what a script says happen on a wire, from now on; and `then`."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    for time, events in groupby(script.events, lambda event: event.time):
        loop.call_at(start + time, _happen, wire, tuple(events), codec)
    loop.call_at(start + script.duration, then)


def congest(wire: MemoryWire, events: Iterable[Event]) -> None:
    """Let the peer stop reading at `[`, and read on at `]`."""
    loop = asyncio.get_running_loop()
    for event in events:
        if event.time:
            loop.call_at(loop.time() + event.time, setattr, wire, "congested", event.data == "[")
        else:
            wire.congested = event.data == "["


def _happen(wire: MemoryWire, events: Iterable[Event], codec: Codec[Any, Any]) -> None:
    for event in events:
        match event.kind, event.data:
            case "completed", _:
                wire.close(Close())
            case "next", DecodeError(message=raw) | RecordedError(message=str() | bytes() as raw):
                wire.send(raw)
            case "error", ProtocolError(close_code=code):
                wire.violate(code)
            case "error", _:
                wire.drop(ConnectionResetError("the peer has left"))
            case "close", Close(code=1005):
                wire.close()
            case "close", Close(code=1006):
                wire.drop()
            case "close", close:
                wire.close(close)
            case _:
                wire.send(*as_sent(codec, event.data))


class ScriptedDialer(MemoryDialer):
    """Opens a connection for each script, and is refused where there is an error in its place; then nobody answers."""

    def __init__(
        self, scripts: Sequence[Script | Exception], make: Callable[[], Codec[Any, Any]], then: Callable[[], object]
    ) -> None:
        super().__init__()
        self._scripts = list(scripts)
        self._make = make  # the codec of a peer
        self._then = then

    async def dial(self) -> Dialed:
        """Open the next connection, or raise."""
        if not self._scripts:
            self._then()
            await asyncio.get_running_loop().create_future()
        script = self._scripts.pop(0)
        if isinstance(script, Exception):
            self.refusals.append(script)
            return await super().dial()
        dialed, wire = await super().dial(), self.peer
        play(wire, script, self._make(), lambda: None if self._scripts or wire.ended else self._then())
        return dialed
