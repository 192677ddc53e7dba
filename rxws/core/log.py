"""The log of a socket: lines on `rxws.server` and `rxws.client`, with fields to filter on."""

from __future__ import annotations

import logging
import sys
import traceback
from contextlib import suppress
from typing import Any, Final

from rxws.close import Close
from rxws.errors import ConnectError, ConnectionLost, DecodeError, ProtocolError, members, raise_fatal
from rxws.rx.foreign import described
from rxws.stats import Counters, tally

SERVER: Final = logging.getLogger("rxws.server")
CLIENT: Final = logging.getLogger("rxws.client")

POLICIES: Final = (1008, 1013)
"""Codes with which we close a peer that sends too much or reads too little; nothing else reports it."""

UNREAD: Final = (
    "messages wait (%d) and nobody reads them: await socket.receive(), subscribe to socket.incoming, or drop them "
    "with socket.incoming.subscribe()"
)


class SocketLog:
    """Writes what happens to one socket on its side's logger, and counts its errors.

    Each record has `ws_event` (`opened`, `closed`, `cut`, `lost`, `refused`, `waiting`, `unread`, `error`, `ended`,
    `rotation`, `stuck`). It also has, if known, `ws_remote`, `ws_path` (on a server, without the query) and `ws_url`
    (on a client, without query and password). Text from the peer is escaped, in the fields too. `errors` counts the
    errors by class. Called with an error, it does what `unobserved` does.
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
        """Write a line, with the traceback of an error; costs almost nothing where its level is off."""
        if not self._logger.isEnabledFor(level):
            return
        about = {"remote": self.remote, "path": self.path, "url": self.url}
        known = {name: text for name, text in about.items() if text}
        if known:
            message, args = f"{message} (%s)", (*args, " ".join(known.values()))
        log_line(self._logger, level, message, *args, error=error, event=event, **known, **fields)

    def refused(self, reason: str, why: str = "", *, warn: bool = False) -> None:
        """Note a handshake that does not become a socket."""
        level = logging.WARNING if warn else logging.DEBUG
        self.write(level, "refused", "refused: %s", why or reason, refusal=reason)

    def waiting(self, delay: float, because: Exception, what: str = "") -> None:
        """Log that a client tries again after `delay` seconds: at INFO, unless the reason is that a peer left."""
        left = isinstance(because, (Close, ConnectionLost)) and not isinstance(because, ConnectError)
        level, why = logging.DEBUG if left else logging.INFO, described(because, str)
        self.write(level, "waiting", f"{what}%s; another attempt in %.1f s", why, delay, delay=delay, because=why)

    def opened(self, protocol: str | None) -> None:
        """Note a connection."""
        if self._logger.isEnabledFor(logging.DEBUG):
            self.write(logging.DEBUG, "opened", "opened", protocol=protocol)

    def closed(self, close: Close, counters: Counters, *, dropped: int, by_peer: bool) -> None:
        """Note the end of a socket that was open: why, and what went through it."""
        if counters.opened is None:
            return
        closed_by = "peer" if by_peer else "nobody" if close.code == 1006 else "us"
        level = logging.INFO if closed_by == "us" and close.code in POLICIES else logging.DEBUG
        if not self._logger.isEnabledFor(level):
            return
        self.write(
            level,
            "closed",
            "closed by %s after %.3f s: %s",
            closed_by,
            counters.duration,
            close,
            closed_by=closed_by,
            code=close.code,
            reason=close.reason,
            duration=counters.duration,
            received=counters.received,
            received_bytes=counters.received_bytes,
            sent=counters.sent,
            sent_bytes=counters.sent_bytes,
            dropped=dropped,
        )

    def cut(self, what: str, *args: object) -> None:
        """Note work that had not finished in time, and is cancelled or disposed."""
        self.write(logging.INFO, "cut", f"cut off when the time to finish was over: {what}", *args)

    def unread(self, messages: int, *, over: bool) -> None:
        """Note that messages wait and nobody reads them; with `over`, that nobody will."""
        what = "the connection ended with messages that nobody read: %d" if over else UNREAD
        self.write(logging.WARNING, "unread", what, messages, unread=messages)

    def forgotten(self, messages: int) -> None:
        """Note how many messages may be lost that `undelivered` cannot list."""
        what = "%d more messages may not have arrived: they were sent while no confirmation could be read"
        self.write(logging.WARNING, "forgotten", what, messages, forgotten=messages)

    def lost(self, error: Exception) -> None:
        """Log that the peer has left, which is not a fault on this side."""
        self.count(error)
        self.write(logging.DEBUG, "lost", "%s", error, error=error)

    def unobserved(self, error: Exception) -> None:
        """Note an error that nobody observes."""
        self.count(error)
        blame_peer = isinstance(error, (DecodeError, ProtocolError))
        self.write(
            logging.WARNING if blame_peer else logging.ERROR,
            "error",
            "%s, which nobody observed",
            described(error),
            error=error,
            error_type=type(error).__name__,
        )

    __call__ = unobserved

    def fault(self, what: str, error: Exception) -> None:
        """Note an exception of a function that no stream of the socket called."""
        self.write(logging.ERROR, "error", "%s", what, error=error, error_type=type(error).__name__)

    def count(self, error: Exception) -> None:
        """Count an error."""
        if self._errors is not None:
            tally(self._errors, type(error).__name__)


def log_line(
    logger: logging.Logger,
    level: int,
    message: str,
    *args: object,
    error: BaseException | None = None,
    **fields: object,
) -> None:
    """Write a line with `ws_` fields and the traceback of an error; everything that rxws logs goes through here.

    A refused connection is one line: the traceback of a `ConnectError`, which shows only libraries, is written only if
    DEBUG is on. Text from the peer is escaped, in the arguments, the fields and the texts of the error. If a handler or
    a filter of the log raises, that goes to `sys.stderr`, and the caller is not interrupted.
    """
    if not logger.isEnabledFor(level):
        return
    if isinstance(error, ConnectError) and not logger.isEnabledFor(logging.DEBUG):
        error = None
    said = [arg if isinstance(arg, (int, float)) else escape(described(arg, str)) for arg in args]
    extra = {f"ws_{name}": _escaped(value) for name, value in fields.items()}
    try:
        logger.log(level, message, *said, exc_info=None if error is None else harmless(error), extra=extra)
    except BaseException as failure:
        raise_fatal(failure)
        with suppress(Exception):  # there may be no standard error
            sys.stderr.write(f"rxws could not log: {message % tuple(said)}: {escape(described(failure))}\n")
            traceback.print_exception(harmless(failure))


def escape(text: str) -> str:
    r"""Write control characters as escapes, so that a peer's text stays within its line and does nothing to a terminal.

    >>> print(escape("bye\r\n\x1b[2J é"))
    bye\r\n\x1b[2J é
    """
    return text if text.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def harmless(error: Any) -> Any:
    r"""Return an error whose traceback may be written: itself, or a copy with its texts escaped.

    The same holds for its causes, its notes, and the members of a group.

    >>> harmless(ValueError("unknown \x1b[2J"))
    ValueError('unknown \\x1b[2J')
    """
    chain = _connected(error)
    if all(text.isprintable() for one in chain for text in _texts(one)):
        return error
    copies: dict[int, Any] = {}
    for one in chain:
        _copy(one, copies)
    for one in chain:
        copy = copies[id(one)]
        copy.__cause__, copy.__context__ = (copies.get(id(other)) for other in (one.__cause__, one.__context__))
        copy.__suppress_context__ = one.__suppress_context__
    return copies[id(error)]


def _connected(error: Any) -> list[Any]:
    """List an error, its causes, and the members of groups, each once."""
    found: dict[int, Any] = {}
    left = [error]
    while left:
        one = left.pop()
        if one is not None and id(one) not in found:
            found[id(one)] = one
            left += (one.__cause__, one.__context__, *members(one))
    return list(found.values())


def _texts(error: Any) -> list[str]:
    """Give what a traceback shows of one error: its text, its notes, the line of a `SyntaxError`."""
    line = [error.text] if isinstance(error, SyntaxError) and error.text else []
    return [described(text, str) for text in (error, *getattr(error, "__notes__", ()), *line)]


def _copy(error: Any, copies: dict[int, Any]) -> Any:
    """Copy one error, with the members of a group."""
    if id(error) in copies:
        return copies[id(error)]
    text, *notes = map(escape, _texts(error))
    copy: Any
    if grouped := members(error):
        copy = BaseExceptionGroup(escape(error.message), [_copy(one, copies) for one in grouped])
    else:
        copy = _alike(error, text)
    copy.__notes__ = notes
    copies[id(error)] = copy.with_traceback(error.__traceback__)
    return copy


def _alike(error: Any, text: str) -> Any:
    """Make an error with another text: of the same class if that takes it, else of one that looks like it."""
    kind = error.__class__
    args = [*error.args, *([error.filename] if isinstance(error, OSError) and error.filename else [])]
    with suppress(Exception):
        copy = kind.__new__(kind, *map(_escaped, args))
        copy.__dict__.update((name, _escaped(value)) for name, value in error.__dict__.items())
        copy.args = tuple(map(_escaped, error.args))
        if described(copy, str) == text:
            return copy
    named = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return type(kind.__name__, (Exception,), named)(text)


def _escaped(value: Any) -> Any:
    return escape(value) if isinstance(value, str) else value
