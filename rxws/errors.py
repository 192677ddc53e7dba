"""What can go wrong on a socket, and the close code each error has when nobody observes `errors`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar, cast

from rxws.close import Close, sendable

__all__ = [
    "ConnectError",
    "ConnectionLost",
    "DecodeError",
    "EncodeError",
    "FeedbackLoop",
    "HeartbeatTimeout",
    "ProtocolError",
    "RxwsError",
]

FATAL: Final = (KeyboardInterrupt, SystemExit)
"""What ends the program."""

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
"""The headers of no answer."""


MAX_SHOWN: Final = 80
"""Characters of a value in the text of an error: a megabyte of it helps nobody in a log."""

MAX_REASON: Final = 200
"""Characters of the reason in the text of an error: a codec's may have the whole message in it."""


class RxwsError(Exception):
    """The root of the errors that rxws itself makes.

    `close_code` and `close_reason` are what the peer sees when the error closes the socket. An exception
    class of your own may have them too; a reason that a close frame cannot hold is left out. Both are found in an
    `ExceptionGroup`, too.
    """

    close_code: int = 1011
    close_reason: str = "Unexpected Error"


class DecodeError(RxwsError):
    """The codec refused a message of the peer's; it is skipped. `message` is what came, `__cause__` why.

    The text says why, too: `cannot decode '{': Expecting property name enclosed in double quotes: ...`.
    """

    close_code = 1007
    close_reason = "Invalid Message"

    def __init__(self, message: str | bytes, why: str = "") -> None:
        super().__init__(f"cannot decode {_excerpt(message)}{': ' if why else ''}{_cut(why, MAX_REASON)}")
        self.message = message


class EncodeError(RxwsError):
    """A value given to `outgoing` cannot be sent; it is skipped. `value` is what was given, `__cause__` why."""

    def __init__(self, value: Any, why: str = "") -> None:
        super().__init__(f"cannot send {_excerpt(value)}{': ' if why else ''}{why}")
        self.value = value


class ProtocolError(RxwsError):
    """The peer broke the WebSocket protocol or exceeded `max_msg_size`; the socket closes with `close_code`."""

    close_code = 1002
    close_reason = ""

    def __init__(self, message: str, close_code: int = 1002) -> None:
        super().__init__(message)
        self.close_code = close_code


class ConnectionLost(RxwsError):
    """The connection ended without a close frame; `__cause__` is the transport's error, if it told one.

    Its own socket ends with 1006, which nobody sends; another one that it is raised in, a gateway's, say, with 1011.
    """


class HeartbeatTimeout(ConnectionLost):
    """The peer gave no sign of life within `heartbeat` seconds after a ping."""


class FeedbackLoop(RxwsError):
    """A stream feeds itself: what its subscribers do with an item makes it emit the next one, and so on.

    What waits to be emitted is dropped; `item` is the first of it. This error is reported once, and closes the socket
    that the stream belongs to.
    """

    def __init__(self, item: object, items: int, subscribers: str = "") -> None:
        super().__init__(
            f"a stream feeds itself: one item caused {items}, each while another was handed on"
            f"{' to ' if subscribers else ''}{subscribers}; it is cut off before {_excerpt(item)}"
        )
        self.item = item


Stage = Literal["request", "dns", "tcp", "tls", "proxy", "http", "handshake", "greeting", "timeout"]


class ConnectError(ConnectionLost):
    """A connection could not be opened; `__cause__` is the library's own error.

    `stage` says what failed: making the `request` (a function that makes the URL or headers), `dns`, `tcp`, `tls`, the
    `proxy`, an `http` status instead of 101, the WebSocket `handshake`, what the `greeting` asked of other servers, or
    the `timeout` of it all.
    """

    def __init__(
        self,
        message: str,
        stage: Stage,
        *,
        status: int | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        body: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.stage: Stage = stage
        self.status = status
        """The HTTP status, where there was one."""
        self.headers = headers
        """The response's headers, where there was one; names in any case."""
        self.body = body
        """The beginning of the response's body."""
        self.retry_after = retry_after
        """Seconds that the server asks to wait, where it does."""


def close_for(error: BaseException) -> Close:
    """Tell with which `Close` an error ends its socket; of a group, the first `Close` in it, else the first code.

    >>> close_for(ValueError("?"))
    Close(code=1011, reason='Unexpected Error')
    >>> close_for(Close(4001, "bye"))
    Close(code=4001, reason='bye')
    >>> close_for(ExceptionGroup("tasks", [ValueError("?"), Close(4001, "bye")]))
    Close(code=4001, reason='bye')
    """
    close, _ = parted(error, Close)
    if close is not None:
        return close
    for one in leaves(error):
        code = _attribute(one, "close_code")
        if isinstance(code, int) and sendable(code):
            try:
                return Close(code, _attribute(one, "close_reason") or "")
            except (TypeError, ValueError):
                return Close(code)
    return Close(RxwsError.close_code, RxwsError.close_reason)


E = TypeVar("E", bound=BaseException)
Kind = TypeVar("Kind", bound=BaseException)


def parted(error: E, kind: type[Kind] | tuple[type[Kind], ...]) -> tuple[Kind | None, E | None]:
    """Part an error into the first of a kind in it, and what of other kinds is in it.

    >>> parted(ExceptionGroup("tasks", [KeyError(1), Close(4001)]), Close)
    (Close(code=4001, reason=''), ExceptionGroup('tasks', [KeyError(1)]))
    >>> parted(Close(4001), Close), parted(KeyError(1), Close)
    ((Close(code=4001, reason=''), None), (None, KeyError(1)))
    """
    found = next((one for one in leaves(error) if isinstance(one, kind)), None)
    if found is None:
        return None, error
    return found, cast("Any", error).split(kind)[1] if isinstance(error, BaseExceptionGroup) else None


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Give an error, or in its place, if it is a group, those that it groups; of groups in groups, too.

    >>> list(leaves(ExceptionGroup("tasks", [KeyError(1), ExceptionGroup("more", [KeyError(2)])])))
    [KeyError(1), KeyError(2)]
    """
    if grouped := members(error):
        for one in grouped:
            yield from leaves(one)
    else:
        yield error


def members(error: BaseException) -> tuple[BaseException, ...]:
    """Return the errors of a group; for any other error, an empty tuple."""
    return cast("Any", error).exceptions if isinstance(error, BaseExceptionGroup) else ()


def raise_fatal(error: BaseException) -> None:
    """Raise what ends the program, if it was raised, alone or in a group."""
    for one in leaves(error):
        if isinstance(one, FATAL):
            raise one


def _attribute(error: BaseException, name: str) -> Any:
    """Read an attribute of an error of the user's; `None` if there is none, or it raises."""
    try:
        return getattr(error, name, None)
    except BaseException as failure:
        raise_fatal(failure)
        return None


def _excerpt(value: object) -> str:
    """Show a value in at most `MAX_SHOWN` characters."""
    try:
        text = repr(value[:MAX_SHOWN] if isinstance(value, (str, bytes, bytearray)) else value)
    except BaseException as error:  # it is nested too deep, or of a class of the user's
        raise_fatal(error)
        text = f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return _cut(text, MAX_SHOWN)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
