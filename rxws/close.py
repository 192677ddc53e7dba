"""How a WebSocket ends: a code, a reason, and which of them may go on the wire."""

from __future__ import annotations

from typing import Final

__all__ = ["Close"]

MAX_REASON_BYTES: Final = 123
"""A control frame holds 125 bytes, the code takes two (RFC 6455, sections 5.5 and 5.5.1)."""


def sendable(code: int) -> bool:
    """Tell whether a close frame may carry `code` (RFC 6455, section 7.4, and the IANA registry).

    >>> [code for code in (1000, 1004, 1005, 1006, 1014, 1015, 2999, 4999, 5000) if sendable(code)]
    [1000, 1014, 4999]
    """
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


class Close(Exception):
    """The end of a WebSocket: a value, an exception, and what `socket.closed` emits.

    Send it (`outgoing.on_next(Close(4001, "bye"))`) or raise it in a handler or anywhere in a pipeline,
    also in an `ExceptionGroup`: what was queued before goes out first, then the peer sees this code and reason.

    Args:
        code: The close code.
        reason: The reason, at most 123 bytes of UTF-8.

    Raises `ValueError` for what may not go on the wire: codes outside 1000-1003, 1007-1014 and 3000-4999
    (RFC 6455, section 7.4), reasons over 123 bytes of UTF-8 (section 5.5). A *received* `Close` may also be
    1005, no code in the peer's frame, or 1006, no frame at all (section 7.1.5).

    >>> Close(4001, "bye")
    Close(code=4001, reason='bye')
    >>> Close() == Close(1000, "")
    True
    >>> Close(1006)
    Traceback (most recent call last):
        ...
    ValueError: close code 1006 may not be sent: use 1000-1003, 1007-1014 or 3000-4999 (yours: 4000-4999)
    """

    def __init__(self, code: int = 1000, reason: str = "") -> None:
        if type(code) is not int:
            if not isinstance(code, int) or isinstance(code, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"a close code is an int, not {code!r}")
            code = int(code)
        if not isinstance(reason, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a close reason is a str, not {reason!r}")
        if not sendable(code):
            raise ValueError(
                f"close code {code} may not be sent: use 1000-1003, 1007-1014 or 3000-4999 (yours: 4000-4999)"
            )
        try:
            size = len(reason.encode()) if reason else 0
        except UnicodeEncodeError as error:
            raise ValueError(f"close reason {reason!r} is not valid UTF-8: {error.reason}") from error
        if size > MAX_REASON_BYTES:
            raise ValueError(f"a close reason has at most {MAX_REASON_BYTES} bytes of UTF-8, this one has {size}")
        self.args = code, reason

    @classmethod
    def received(cls, code: int, reason: str = "") -> Close:
        """Make a `Close` as a peer or a lost connection caused it: 1005 and 1006 are allowed too.

        Args:
            code: The close code, 1005 and 1006 included.
            reason: The reason.

        >>> Close.received(1006)
        Close(code=1006, reason='')
        """
        if code not in (1005, 1006):
            return cls(code, reason)
        close = cls.__new__(cls)
        close.args = (code, reason)
        return close

    def passed_on(self) -> Close:
        """Give what may go on the wire in its place, to the peer of another socket, say: itself but for 1005 and 1006.

        >>> Close.received(1005).passed_on(), Close.received(1006).passed_on()
        (Close(code=1000, reason=''), Close(code=1011, reason='Connection Lost'))
        """
        code = self.args[0]
        if code == 1005:
            return Close()
        return Close(1011, "Connection Lost") if code == 1006 else self

    @property
    def code(self) -> int:
        """The close code, 1000 to 4999."""
        return self.args[0]

    @property
    def reason(self) -> str:
        """The close reason; may be empty."""
        return self.args[1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Close) and self.args == other.args

    def __hash__(self) -> int:
        return hash(self.args)

    def __repr__(self) -> str:
        return f"Close(code={self.code}, reason={self.reason!r})"

    __str__ = __repr__

    def __reduce__(self) -> tuple[object, tuple[int, str]]:
        return Close.received, (self.code, self.reason)
