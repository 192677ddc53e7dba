"""A WebSocket that shows itself."""

from __future__ import annotations

import time
from html import escape
from typing import Any

from rxws.core.socket import WebSocket
from rxws.jupyter.pictures.live import Live, scrolling
from rxws.jupyter.pictures.watch import LiveMarbles
from rxws.marbles.layout import text_of
from rxws.marbles.trace import Trace
from rxws.stats import Stats

SHOWN_SECONDS = 20.0
LAST = 200
"""Characters of the last messages."""
RATE = 1.0
"""Seconds over which rates are taken."""


def show(socket: WebSocket[Any, Any]) -> Live:
    """Show a socket: state, peer, protocol, rates both ways, rtt, what waits and was dropped, its last messages.

    If its `overflow` is `"latest"` or `rxws.latest_by`, two lines below the messages show how much is in flight, and
    how old what the peer has is.

    Live while it is open, a still picture after. It changes nothing for the socket: it starts no reading, and counts
    neither as a subscriber nor as an observer of errors. Memory: what fits in the picture.

    Args:
        socket: The socket.

    Raises `TypeError` for what is not a socket.
    """
    if not isinstance(socket, WebSocket):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"show takes a socket, such as connect(...) gives, not {socket!r}")
    own = WebSocket[Any, Any](socket._life, request=socket._request)  # pyright: ignore[reportPrivateUsage]
    return Live(Card(own))  # a picture keeps no socket


class Card(LiveMarbles):
    """What a socket is doing."""

    interval = 0.1

    def __init__(self, socket: WebSocket[Any, Any]) -> None:
        super().__init__(socket, SHOWN_SECONDS)
        self._socket = socket
        self._remote = socket.remote
        self._protocol = socket.protocol
        self._stats: list[tuple[float, Stats]] = []
        self._points: list[tuple[float, Stats]] = []

    async def draw(self) -> str:
        """Draw it, with the picture as it is."""
        self._trace()
        return self._html(await super().draw())

    def still(self) -> str:
        """Draw it, with the picture as an image."""
        return self._html(super().still())

    def text(self) -> str:
        """Write it."""
        lines = [f"{name}: {value}" for name, value in self._facts()]
        return "\n".join([repr(self._socket), *lines, super().text()])

    def _trace(self) -> None:
        """Follow what is on its way to the peer, once there is something to follow."""
        lanes, stats = self._lanes, self._socket.stats
        if stats.in_flight is None and not self._points:
            return
        now = lanes.now()
        self._points.append((now, stats))
        while self._points[0][0] < now - SHOWN_SECONDS:
            del self._points[0]
        lanes.traces = [
            Trace("age", [(at, one.age) for at, one in self._points], _milliseconds, 0.2),
            Trace("in flight", [(at, one.in_flight) for at, one in self._points], _bytes, 1000),
        ]

    def _html(self, picture: str) -> str:
        facts = self._facts()
        head = "".join(f"<th>{escape(name)}</th>" for name, _ in facts)
        body = "".join(f"<td>{escape(value)}</td>" for _, value in facts)
        facts_shown = f"<table><thead><tr>{head}</tr></thead><tbody><tr>{body}</tr></tbody></table>"
        return f"{scrolling(facts_shown)}{picture}{self._last()}"

    def _last(self) -> str:
        told: list[str] = []
        for lane in ("incoming", "outgoing", "errors"):
            marble = self._lanes.last(lane)
            if marble is not None:
                text = text_of(marble.event.data, LAST)
                at = self._lanes.clock.exactly(marble.event.time)
                told.append(f"last {lane}, at {at}: <code>{escape(text)}</code>")
        return f"<p>{'<br>'.join(told)}</p>" if told else ""

    def _facts(self) -> list[tuple[str, str]]:
        socket = self._socket
        now, stats = time.monotonic(), socket.stats
        self._remote = socket.remote or self._remote
        self._protocol = socket.protocol or self._protocol
        self._stats.append((now, stats))
        while len(self._stats) > 2 and self._stats[1][0] <= now - RATE:
            del self._stats[0]
        since, before = self._stats[0]
        seconds = max(now - since, 1e-9) if len(self._stats) > 1 else 1.0
        life = socket._life  # pyright: ignore[reportPrivateUsage]
        state = "open" if life.connection is not None else "connecting"
        return [
            ("state", state if life.close_cause is None else f"closed {life.close_cause}"),
            ("peer", self._remote or "–"),
            ("protocol", self._protocol or "–"),
            ("in", _flow(stats.received, before.received, stats.received_bytes, before.received_bytes, seconds)),
            ("out", _flow(stats.sent, before.sent, stats.sent_bytes, before.sent_bytes, seconds)),
            ("round trip", "–" if stats.rtt is None else f"{stats.rtt * 1000:.1f} ms"),
            *(_in_flight(stats) if self._points else ()),
            ("buffered", f"{stats.buffered} ({_bytes(stats.buffered_bytes)})"),
            ("dropped", f"{stats.dropped}"),
        ]


def _in_flight(stats: Stats) -> list[tuple[str, str]]:
    """Say what is on its way, and for how long."""
    return [
        ("in flight", "–" if stats.in_flight is None else _bytes(stats.in_flight)),
        ("age", "–" if stats.age is None else _milliseconds(stats.age)),
    ]


def _flow(count: int, before: int, size: int, size_before: int, seconds: float) -> str:
    """Say how much went one way.

    >>> _flow(1500, 500, 150_000, 50_000, 1.0)
    '1,500 messages, 150.0 kB; 1,000/s, 100.0 kB/s'
    """
    rates = f"{(count - before) / seconds:,.0f}/s, {_bytes((size - size_before) / seconds)}/s"
    return f"{count:,} messages, {_bytes(size)}; {rates}"


def _milliseconds(seconds: float) -> str:
    """Write a time.

    >>> _milliseconds(0.0123)
    '12 ms'
    """
    return f"{seconds * 1000:,.0f} ms"


def _bytes(number: float) -> str:
    """Write a number of bytes.

    >>> _bytes(0), _bytes(1500), _bytes(2.5e6)
    ('0 B', '1.5 kB', '2.5 MB')
    """
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number:.0f} B"


def install() -> None:
    """Make every WebSocket show itself where it is the last line of a cell: in IPython, and in marimo."""

    def in_ipython(socket: WebSocket[Any, Any]) -> None:
        show(socket).show()

    def in_marimo(socket: WebSocket[Any, Any]) -> Any:
        return show(socket).frames

    setattr(WebSocket, "_ipython_display_", in_ipython)  # noqa: B010
    setattr(WebSocket, "_display_", in_marimo)  # noqa: B010
