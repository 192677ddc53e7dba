"""What an operator reads of a socket: lines on `rxws.server` and `rxws.client`, with fields to filter on."""

from __future__ import annotations

import logging
from typing import Any, Final

from rxws.close import Close
from rxws.errors import ConnectError, ConnectionLost, DecodeError, ProtocolError
from rxws.stats import Counters, tally

SERVER: Final = logging.getLogger("rxws.server")
CLIENT: Final = logging.getLogger("rxws.client")

POLICIES: Final = (1008, 1013)
"""Codes with which we close a peer that sends too much or reads too little; nothing else tells of it."""

UNREAD: Final = (
    "nobody reads, and messages wait (%d): await socket.receive(), subscribe to socket.incoming, or drop what comes "
    "with socket.incoming.subscribe()"
)


class SocketLog:
    """Writes what happens to one socket on its side's logger, and counts its errors.

    Each record has `ws_event` (`opened`, `closed`, `cut`, `lost`, `refused`, `waiting`, `unread`, `error`, `ended`,
    `stuck`), and what is known of `ws_remote`, `ws_path` (a server's, without the query) and `ws_url` (a client's,
    without its query and password). What a peer has chosen is escaped, in the fields too. `errors` is where errors are
    counted, by class.
    """

    __slots__ = ("_errors", "_logger", "path", "remote", "url")

    def __init__(
        self,
        logger: logging.Logger,
        *,
        remote: str | None = None,
        path: str | None = None,
        url: str | None = None,
        errors: dict[str, int] | None = None,
    ) -> None:
        self.remote = remote
        self.path = path
        self.url = url
        self._logger = logger
        self._errors = errors

    def write(
        self, level: int, event: str, message: str, *args: object, error: Exception | None = None, **fields: object
    ) -> None:
        """Write a line, with the traceback of an error; costs next to nothing where its level is off."""
        if not self._logger.isEnabledFor(level):
            return
        about = {"remote": self.remote, "path": self.path, "url": self.url}
        known = {name: escape(text) for name, text in about.items() if text}
        if known:
            message, args = f"{message} (%s)", (*args, " ".join(known.values()))
        extra: dict[str, Any] = {"ws_event": event}
        extra.update((f"ws_{name}", value) for name, value in (known | fields).items())
        self._logger.log(level, message, *args, exc_info=error, extra=extra)

    def refused(self, reason: str, why: str = "", *, warn: bool = False) -> None:
        """Note a handshake that does not become a socket."""
        level = logging.WARNING if warn else logging.DEBUG
        self.write(level, "refused", "refused: %s", escape(why) or reason, refusal=reason)

    def waiting(self, delay: float, because: Exception) -> None:
        """Note that a client tries again in so many seconds: at INFO, unless it is that a peer left."""
        left = isinstance(because, (Close, ConnectionLost)) and not isinstance(because, ConnectError)
        level = logging.DEBUG if left else logging.INFO
        reason = escape(str(because))
        self.write(level, "waiting", "%s; another attempt in %.1f s", reason, delay, delay=delay, because=reason)

    def opened(self, protocol: str | None, remote: str | None) -> None:
        """Note a connection, and to whom, unless a server's request said so."""
        if self.path is None:
            self.remote = remote
        self.write(logging.DEBUG, "opened", "opened", protocol=protocol)

    def closed(self, close: Close, counters: Counters, *, dropped: int, by_peer: bool) -> None:
        """Note the end of a socket that was open: why, and what went through it."""
        if counters.opened is None:
            return
        closed_by = "peer" if by_peer else "nobody" if close.code == 1006 else "us"
        self.write(
            logging.INFO if closed_by == "us" and close.code in POLICIES else logging.DEBUG,
            "closed",
            "closed by %s after %.3f s: %r",
            closed_by,
            counters.duration,
            close,
            closed_by=closed_by,
            code=close.code,
            reason=escape(close.reason),
            duration=counters.duration,
            received=counters.received,
            received_bytes=counters.received_bytes,
            sent=counters.sent,
            sent_bytes=counters.sent_bytes,
            dropped=dropped,
        )

    def cut(self, what: str, *args: object) -> None:
        """Note what was still at work when its time was over, and is cancelled or disposed."""
        self.write(logging.INFO, "cut", f"cut off when the time to finish was over: {what}", *args)

    def unread(self, messages: int, *, over: bool) -> None:
        """Note that messages wait and nobody reads; with `over`, that nobody will."""
        what = "the connection ended with messages that nobody read: %d" if over else UNREAD
        self.write(logging.WARNING, "unread", what, messages, unread=messages)

    def lost(self, error: Exception) -> None:
        """Note that the peer is gone, which is no fault of anybody here."""
        self.count(error)
        self.write(logging.DEBUG, "lost", "%s", error, error=error)

    def unobserved(self, error: Exception) -> None:
        """Note an error that nobody observes."""
        self.count(error)
        blame_peer = isinstance(error, (DecodeError, ProtocolError))
        self.write(
            logging.WARNING if blame_peer else logging.ERROR,
            "error",
            "%r, which nobody observed",
            error,
            error=error,
            error_type=type(error).__name__,
        )

    def fault(self, what: str, error: Exception) -> None:
        """Note what a function raised that no stream of the socket called."""
        self.write(logging.ERROR, "error", "%s", what, error=error, error_type=type(error).__name__)

    def count(self, error: Exception) -> None:
        """Count an error."""
        if self._errors is not None:
            tally(self._errors, type(error).__name__)


def escape(text: str) -> str:
    r"""Write control characters as escapes, so that a peer's text stays within its line and does nothing to a terminal.

    >>> print(escape("bye\r\n\x1b[2J é"))
    bye\r\n\x1b[2J é
    """
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
