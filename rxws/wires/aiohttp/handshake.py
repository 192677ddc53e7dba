"""The response of a server's handshake."""

from __future__ import annotations

import hashlib
import sys
from binascii import b2a_base64
from functools import lru_cache
from typing import Any, Final, NamedTuple

from aiohttp import WSCloseCode, hdrs, web
from multidict import CIMultiDict

from rxws.options import Settings
from rxws.wires.aiohttp.choice import put_header_watch, start_directly
from rxws.wires.aiohttp.fast.chunks import SLICE
from rxws.wires.deflate import make_deflation, wire_limit
from rxws.wires.negotiation import Agreement

MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What a server adds to a client's key (RFC 6455, section 4.2.2)."""


class Agreed(NamedTuple):
    """What a client's handshake and a server's settings agree on."""

    key: str
    protocol: str | None
    deflate: Agreement | None


@lru_cache
def frame_limit(max_msg_size: int | None) -> int:
    """Give the limit in aiohttp's terms: it refuses a message of exactly its limit, and 0 is none.

    It is one number for all sockets with this limit.
    """
    return 0 if max_msg_size is None else max_msg_size + 1


TOO_LATE: Final = (
    "the handshake has been answered, with its headers. A 'def' handler of @rxws.websocket runs before that, and "
    "app.on_response_prepare is called before it"
)


def _refuse_change(self: CIMultiDict[str], *args: Any, **kwargs: Any) -> Any:
    raise RuntimeError(f"a header that is set now comes too late: {TOO_LATE}")


CHANGING: Final = (
    *("__setitem__", "__delitem__", "add", "extend", "update", "setdefault"),
    *("clear", "pop", "popone", "popall", "popitem"),
)
"""What changes headers."""

SentHeaders: Any = type("SentHeaders", (CIMultiDict,), dict.fromkeys(CHANGING, _refuse_change))
"""Headers that have gone out."""


class Response(web.WebSocketResponse):
    """aiohttp's response, but the wire decides when to close and when to wait for room."""

    _is_answered = False

    def __init__(self, settings: Settings, agreed: Agreed) -> None:
        self._agreed = agreed
        limit, deflate = settings.max_msg_size, agreed.deflate
        self._deflation = None if deflate is None else make_deflation(settings.compress, deflate, limit)
        super().__init__(
            timeout=settings.close_timeout,
            protocols=settings.protocols,
            compress=False,
            max_msg_size=frame_limit(limit if deflate is None else wire_limit(limit)),
            autoping=False,
            autoclose=False,
            writer_limit=sys.maxsize,
        )

    def _handshake(self, request: Any) -> Any:
        """Answer what was agreed on: aiohttp reads one line of each header, and takes offers that must be declined."""
        key, protocol, deflate = self._agreed
        accept = b2a_base64(hashlib.sha1(key.encode() + MAGIC).digest(), newline=False).decode()
        headers = {hdrs.UPGRADE: "websocket", hdrs.CONNECTION: "Upgrade", hdrs.SEC_WEBSOCKET_ACCEPT: accept}
        if protocol is not None:
            headers[hdrs.SEC_WEBSOCKET_PROTOCOL] = protocol
        if deflate is not None:
            headers[hdrs.SEC_WEBSOCKET_EXTENSIONS] = deflate.answer
        return CIMultiDict(headers), protocol, 0, False  # aiohttp compresses nothing

    def _post_start(self, request: Any, protocol: str | None, writer: Any) -> None:
        """Start as aiohttp does, or on the fast wire with a `DirectQueue` in the place of its queue.

        A client has to wait for the answer (RFC 6455, section 4.1); a few frames of one that does not are let pass.
        Many would all be parsed now, and stop the event loop.
        """
        self._is_answered = True
        del self._agreed
        connection = request.protocol
        arrived, connection._message_tail = connection._message_tail, b""
        inside: Any = self
        limit: int = inside._max_msg_size
        watch = start_directly(self, writer, connection, protocol, limit, self._deflation)
        if watch is None:
            super()._post_start(request, protocol, writer)
            watch = put_header_watch(self, connection, limit, deflation=self._deflation)
        if watch is not None and len(arrived) > SLICE:
            watch.refuse(WSCloseCode.PROTOCOL_ERROR, f"more than {SLICE} bytes before the handshake's answer")
        elif arrived:
            connection.data_received(arrived)

    def set_cookie(self, *args: Any, **kwargs: Any) -> None:
        """Set a cookie, before the handshake is answered; raises `RuntimeError` after it."""
        self._check_not_answered("set_cookie")
        super().set_cookie(*args, **kwargs)

    def del_cookie(self, *args: Any, **kwargs: Any) -> None:
        """Delete a cookie, before the handshake is answered; raises `RuntimeError` after it."""
        self._check_not_answered("del_cookie")
        super().del_cookie(*args, **kwargs)

    @property
    def headers(self) -> CIMultiDict[str]:
        """The headers of the answer; when that has gone out, they raise `RuntimeError` if they are changed."""
        return SentHeaders(super().headers) if self._is_answered else super().headers

    def _check_not_answered(self, what: str) -> None:
        if self._is_answered:
            raise RuntimeError(f"{what} comes too late: {TOO_LATE}")

    async def close(self, **ignored: Any) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Do nothing: aiohttp calls this on violations and at the handler's end."""
        return False
