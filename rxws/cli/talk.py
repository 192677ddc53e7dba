"""What a person at a terminal sees of a socket, and does with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TextIO

import rxws
from rxws.cli.terminal import Paint, compact, painted, pretty, terminal_width
from rxws.client.socket import ClientWebSocket
from rxws.core.log import escape

COMMANDS: Final = "/ping  /close [CODE [REASON]]  /help  //text sends /text  Ctrl-D closes"

PONG_TIMEOUT: Final = 10.0
"""Seconds that a pong is waited for."""


class Talk:
    """Shows what happens on a socket, and does what is typed."""

    def __init__(
        self,
        socket: ClientWebSocket[Any, Any],
        show: Callable[[str], object],
        stream: TextIO,
        *,
        is_compact: bool = False,
    ) -> None:
        self.show = show
        self.closing = False
        """Whether we have closed: what was typed, a limit, or Ctrl-C."""
        self.has_failed = False
        """Whether the input could not be read to its end."""
        self._socket = socket
        self._is_compact = is_compact
        self._paint = Paint(stream)
        self._pings = set[asyncio.Task[None]]()

    def say(self, text: str, color: str) -> None:
        """Show a remark."""
        self.show(self._paint(escape(text), color))

    def message(self, message: str | bytes) -> None:
        """Show a message that has come."""
        if self._is_compact and isinstance(message, str):
            text = painted(compact(message), self._paint)
        else:
            text = pretty(message, self._paint, terminal_width() - 2)
        self.show(f"{self._paint('<', 'green')} {text}")

    def error(self, error: Exception) -> None:
        """Show what went wrong."""
        self.say(f"{type(error).__name__}: {error}", "red")

    def state(self, state: object) -> None:
        """Show a change of the connection's state."""
        match state:
            case rxws.Open(protocol=protocol):
                self.say(f"connected{f', protocol {protocol}' if protocol else ''}", "dim")
            case rxws.Waiting(delay=delay, because=because):
                self.say(f"{because}; another attempt in {delay:.1f} s", "yellow")
            case rxws.Closed(close=close):
                self.say(f"closed {close.code} {close.reason}".rstrip(), "bold")
            case _:
                pass

    def enter(self, text: str) -> None:
        """Send a line, or do what it commands."""
        command, _, rest = text.partition(" ")
        match command:
            case "":
                pass
            case "/ping":
                ping = asyncio.create_task(self._ping())
                self._pings.add(ping)
                ping.add_done_callback(self._pings.discard)
            case "/close":
                self.end(*rest.split(maxsplit=1))
            case "/help":
                self.say(COMMANDS, "dim")
            case _ if text.startswith("/") and not text.startswith("//"):
                self.say(f"{command} is not a command: {COMMANDS}", "red")
            case _:
                message = text[1:] if text.startswith("//") else text
                self.say(f"> {message}", "blue")
                self._socket.outgoing.on_next(message)

    def end(self, code: str = "", reason: str = "") -> None:
        """Close."""
        try:
            self._socket.close(int(code or 1000), reason)
            self.closing = True
        except ValueError as error:
            self.say(str(error), "red")

    def leave(self) -> None:
        """Close, and show nothing that comes from now on."""
        self.closing = True
        self._socket.dispose()

    def stop(self) -> None:
        """Wait for no more pongs."""
        for ping in self._pings:
            ping.cancel()

    async def _ping(self) -> None:
        connection = self._socket._life.connection  # pyright: ignore[reportPrivateUsage]
        heartbeat = None if connection is None else connection.heartbeat
        if heartbeat is None:
            self.say("there is no connection to ping", "red")
            return
        try:
            rtt = await asyncio.wait_for(heartbeat.beat(), PONG_TIMEOUT)
        except TimeoutError:
            self.say(f"no pong within {PONG_TIMEOUT:g} s", "red")
        else:
            self.say(f"pong after {rtt * 1000:.1f} ms", "dim")
