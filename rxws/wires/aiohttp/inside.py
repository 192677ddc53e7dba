"""What is inside aiohttp's WebSocket objects, of either side, and has no public name."""

from __future__ import annotations

import asyncio
import gc
import socket as sockets
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Any, Final, cast

import aiohttp
from aiohttp import ClientSession, ClientWebSocketResponse, web
from yarl import URL

NOT_SENT: Final = 1024
"""Bytes that the kernel may keep unsent when messages must be fresh (TCP_NOTSENT_LOWAT)."""

PARSERS: Final = tuple(name for name in ("_parser", "_request_parser") if hasattr(web.RequestHandler, name))
"""Where aiohttp's protocol has its HTTP parser: newer and older ones."""

AnyWebSocket = web.WebSocketResponse | ClientWebSocketResponse


def transport_of(ws: AnyWebSocket) -> asyncio.Transport:
    """Give the transport, which then keeps no bytes of its own that the kernel does not take."""
    inside: Any = ws
    transport: asyncio.Transport = inside._writer.transport
    if not transport.is_closing():  # uvloop's would raise
        one: asyncio.Transport | None = transport
        while one is not None:
            one.set_write_buffer_limits(high=1)  # at 0, asyncio's TLS pauses an empty transport
            one = carrier_of(one)
    return transport


def carrier_of(transport: asyncio.Transport) -> asyncio.Transport | None:
    """Give the transport that carries what this one encrypts, and has a buffer of its own, if it can be found."""
    if transport.get_extra_info("sslcontext") is None:
        return None
    inside: Any = transport
    if hasattr(inside, "_ssl_protocol"):  # asyncio's
        return getattr(inside._ssl_protocol, "_transport", None)
    for protocol in gc.get_referents(inside):  # uvloop's fields have no names that Python knows
        if type(protocol).__name__ == "SSLProtocol":
            for one in gc.get_referents(protocol):
                if hasattr(one, "set_write_buffer_limits") and one is not transport:
                    return one
    return None


def protocol_of(ws: AnyWebSocket) -> Any:
    """Give aiohttp's protocol on that transport."""
    inside: Any = ws
    return inside._writer.protocol


def parsed_in(ws: AnyWebSocket) -> Collection[object]:
    """Give what aiohttp has parsed and nobody has received yet, which changes; nothing if it cannot be found."""
    return getattr(cast("Any", ws)._reader, "_buffer", ())


def take_over(ws: AnyWebSocket) -> None:
    """Take over pings, pongs and closes, also on an object that the application made; raises the second time."""
    inside: Any = ws
    if getattr(inside, "_rxws", False):
        raise RuntimeError("this WebSocket belongs to rxws already: use its socket")
    inside._rxws = True
    inside._autoping = inside._autoclose = False
    if inside._heartbeat is not None:
        inside._heartbeat = None  # it would miss the pongs that we get
        inside._cancel_heartbeat()


class NoWriter:
    """Stands where aiohttp's writer was, which is large, on a WebSocket that is rxws's from the handshake on."""

    __slots__ = ("protocol", "transport")

    def __init__(self, transport: asyncio.Transport, protocol: Any) -> None:
        self.transport = transport
        self.protocol = protocol

    async def send_frame(self, *ignored: Any, **options: Any) -> None:
        """Raise `RuntimeError`: what other code writes would get between our frames."""
        raise RuntimeError("this WebSocket belongs to rxws: send through the `outgoing` of its socket")


def drop_handshake_state(ws: AnyWebSocket, protocol: Any) -> None:
    """Drop what aiohttp's server parsed the handshake with, and would write with: 2.3 KiB that nobody uses again."""
    inside: Any = ws
    inside._writer = NoWriter(inside._writer.transport, protocol)
    for name in PARSERS:  # it looks whether it is there
        setattr(protocol, name, None)
    if not protocol._messages:
        protocol._messages = ()  # of the connection's further requests; an empty deque is large


def end_writing(transport: asyncio.Transport) -> None:
    """Tell the peer that nothing more follows; end the connection at once if the peer has already left.

    asyncio's `write_eof` raises `OSError` then (errno 107), in the middle of the caller's end.
    """
    try:
        if transport.can_write_eof():
            transport.write_eof()
    except OSError:
        transport.abort()


def release(ws: AnyWebSocket) -> None:
    """Let aiohttp know that the connection has ended."""
    inside: Any = ws
    inside._closed = True
    inside._writer.transport.close()  # or one of asyncio's that was aborted would keep itself
    forget_frames(ws.exception())
    if isinstance(ws, ClientWebSocketResponse):
        inside._response.close()


def forget_frames(error: BaseException | None) -> None:
    """Drop the frames of an aiohttp error: aiohttp's objects keep it, and its frames refer to them."""
    while error is not None:
        error.__traceback__ = None
        error = error.__context__


def keep_from_closing(ws: ClientWebSocketResponse) -> None:
    """Keep aiohttp from closing a client's WebSocket on a violation: it sends a code of its own, and ends at once."""

    async def close(**ignored: Any) -> bool:
        return False

    cast("Any", ws).close = close


def abandon(ws: ClientWebSocketResponse) -> None:
    """Drop the connection of a handshake that is not accepted."""
    transport_of(ws).abort()
    release(ws)


def asks_for_upgrade(request: web.BaseRequest) -> bool:
    """Return whether aiohttp's parser took a request for one that asks to change the protocol, if that is known."""
    inside: Any = request
    return getattr(inside._message, "upgrade", True)


def drop_what_follows(request: web.BaseRequest, refusal: web.HTTPException) -> None:
    """Drop what came behind a handshake that is refused, and close after the answer: frames would be parsed as HTTP.

    A client has to wait for the answer (RFC 6455, section 4.1).
    """
    connection = cast("Any", request.protocol)
    if getattr(connection, "_message_tail", b""):
        connection._message_tail = b""
        refusal.force_close()


class Asking:
    """What aiohttp's `ws_connect` asks of a session, with its answer seen first: aiohttp drops what is in it.

    The session, which others may share, is not changed, and what else is asked of it meanwhile is not seen.
    """

    def __init__(self, session: Any, see: Callable[[aiohttp.ClientResponse], Awaitable[object]]) -> None:
        self._session = session
        self._see = see
        self._loop: Any = session._loop
        self._ws_response_class: Any = session._ws_response_class

    async def request(self, *args: Any, **options: Any) -> aiohttp.ClientResponse:
        """Ask; the body of a refusal may have no length, and errors are for `ws_connect` to raise."""
        response = await self._session.request(*args, **{**options, "read_until_eof": True, "raise_for_status": False})
        await self._see(response)
        return response

    async def connect(self, url: URL, **options: Any) -> ClientWebSocketResponse:
        """Do as `session.ws_connect` does."""
        return await cast("Any", ClientSession)._ws_connect(self, url, **options)


def take_arrived(response: aiohttp.ClientResponse) -> bytes | None:
    """Take the bytes of frames that came with the answer to a client's handshake away from aiohttp's parser.

    Gives `None` if they cannot be known.
    """
    protocol: Any = None if response.connection is None else response.connection.protocol
    arrived = getattr(protocol, "_tail", None)
    if arrived:
        protocol._tail = b""
    return arrived


def base_of(session: ClientSession) -> URL | None:
    """Give the URL that a session's relative ones belong to."""
    return getattr(session, "_base_url", None)


def remote_of(connected: AnyWebSocket | web.BaseRequest) -> str | None:
    """Give the peer's address: of a UNIX socket, whose clients have none, `unix:` and the path of the server."""
    peer: Any = connected.get_extra_info("peername")
    if peer is None or isinstance(peer, tuple):
        return None if peer is None else str(cast("Any", peer[0]))
    path: str | bytes = peer or connected.get_extra_info("sockname") or ""
    return f"unix:{path if isinstance(path, str) else path.replace(bytes(1), b'@').decode(errors='replace')}"


def keep_fresh(ws: AnyWebSocket, wanted: bool) -> None:
    """Keep the kernel's share of what waits small, or as large as the system has it."""
    sock = ws.get_extra_info("socket")
    option = getattr(sockets, "TCP_NOTSENT_LOWAT", None)
    if sock is not None and option is not None and sock.family in (sockets.AF_INET, sockets.AF_INET6):
        with suppress(OSError):  # which has ended
            sock.setsockopt(sockets.IPPROTO_TCP, option, NOT_SENT if wanted else 0)


def bound_first_request(app: web.Application, seconds: float) -> None:
    """Drop the connections to an application whose first request is not whole after `seconds`."""
    make_server = cast("Any", app)._make_handler

    def make(**options: Any) -> Any:
        server: Any = make_server(**options)
        connected, lost = server.connection_made, server.connection_lost
        deadlines: dict[Any, asyncio.TimerHandle] = {}

        def connection_made(handler: Any, transport: asyncio.Transport) -> None:
            connected(handler, transport)
            deadlines[handler] = asyncio.get_running_loop().call_later(seconds, drop, handler)

        def drop(handler: Any) -> None:
            del deadlines[handler]
            if getattr(handler, "_request_count", 1) == 0:
                handler.force_close()

        def connection_lost(handler: Any, *error: Any) -> None:
            if handler in deadlines:  # which would keep the handler, and all that it has
                deadlines.pop(handler).cancel()
            lost(handler, *error)

        server.connection_made, server.connection_lost = connection_made, connection_lost
        return server

    vars(app)["_make_handler"] = make
