"""rxws on an aiohttp WebSocket that the application opened, with Subjects that it made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypedDict, TypeVar, Unpack, overload

from aiohttp import ClientWebSocketResponse, web
from reactivex import Observable, abc

from rxws import codecs
from rxws.close import Close
from rxws.core.lifecycle import Lifecycle
from rxws.core.log import CLIENT, SocketLog
from rxws.core.socket import WebSocket
from rxws.options import Heartbeat, check, tell_options
from rxws.policies import Overflow
from rxws.rx.holds import current_socket
from rxws.server.upgrade import hub_of, log_of
from rxws.wires.aiohttp import open_wire

In = TypeVar("In")
Out = TypeVar("Out")

HANDSHAKE_DECIDED: Final = ("protocols", "origins", "max_msg_size", "message_timeout", "compress", "offline")
"""Options that the handshake has decided, or that need all since then, and that of a socket that comes back."""


class AttachOptions(TypedDict, total=False):
    """The keyword options of `attach`."""

    heartbeat: float | Heartbeat | None
    high_water: int
    max_buffered: int
    overflow: Overflow
    in_flight: Callable[[Any], int | None] | None
    message_rate: float | None
    close_timeout: float


@overload
def attach(
    ws: web.WebSocketResponse | ClientWebSocketResponse,
    incoming: abc.ObserverBase[In] | None = None,
    outgoing: Observable[Out | Close] | None = None,
    errors: abc.ObserverBase[Exception] | None = None,
    *,
    codec: codecs.AnyCodec[In, Out],
    **options: Unpack[AttachOptions],
) -> WebSocket[In, Out]: ...
@overload
def attach(
    ws: web.WebSocketResponse | ClientWebSocketResponse,
    incoming: abc.ObserverBase[Any] | None = None,
    outgoing: Observable[codecs.Sendable | Close] | None = None,
    errors: abc.ObserverBase[Exception] | None = None,
    **options: Unpack[AttachOptions],
) -> WebSocket[str | bytes, str | bytes]: ...
@tell_options(HANDSHAKE_DECIDED)
def attach(
    ws: web.WebSocketResponse | ClientWebSocketResponse,
    incoming: abc.ObserverBase[Any] | None = None,
    outgoing: Observable[Any] | None = None,
    errors: abc.ObserverBase[Exception] | None = None,
    **options: Any,
) -> WebSocket[Any, Any]:
    """Connect your own Observers and Observables, such as a `ReplaySubject`, to a prepared aiohttp WebSocket.

    Without them, you get the socket's own streams: `incoming, outgoing, errors = attach(ws)`.

    `incoming` gets the messages and completes when the socket closes. What `outgoing` emits is sent; its completion
    closes the socket with 1000, its failure with the error's `close_code`, else 1011. `errors` gets exceptions and
    completes; without it the first error closes the socket. `outgoing` is not completed, since other code may use it.

    From here on rxws owns the WebSocket: do not receive from it, send to it or close it. The heartbeat of rxws replaces
    aiohttp's `heartbeat`. The handler awaits `socket.closed` and returns `ws`. The hub of `rxws.setup` closes the
    socket at shutdown, but does not count it against `max_connections`.

    Args:
        ws: A WebSocket of aiohttp, prepared or connected.
        incoming: An Observer that gets the messages.
        outgoing: An Observable whose items are sent.
        errors: An Observer that gets exceptions.
        options: As for `websocket`, except those that the handshake has decided (`protocols`, `origins`,
            `max_msg_size`, `compress`), and `message_timeout`, which needs to see a message's first byte.

    Raises `TypeError` for arguments of another kind, `RuntimeError` for a WebSocket that is not prepared, is
    closed, or already belongs to rxws. Memory: as for `websocket`.
    """
    settings = check(options, without=HANDSHAKE_DECIDED)
    if not isinstance(ws, (web.WebSocketResponse, ClientWebSocketResponse)):  # pyright: ignore
        raise TypeError(f"attach takes a WebSocketResponse or a ClientWebSocketResponse of aiohttp, not {ws!r}")
    if incoming is not None and not callable(getattr(incoming, "on_next", None)):
        raise TypeError(f"incoming must be a Subject or another Observer, not {incoming!r}")
    if outgoing is not None and not isinstance(outgoing, Observable):  # pyright: ignore
        raise TypeError(f"outgoing must be a Subject or another Observable, not {outgoing!r}")
    if errors is not None and not callable(getattr(errors, "on_next", None)):
        raise TypeError(f"errors must be a Subject or another Observer, not {errors!r}")
    if isinstance(ws, web.WebSocketResponse) and not ws.prepared:
        raise RuntimeError("this WebSocketResponse is not prepared: await ws.prepare(request) first")
    if ws.closed:
        raise RuntimeError("this WebSocket is closed already")
    request: Any = getattr(ws, "_req", None)  # a server's; it has no public name
    hub = hub_of(request)
    if isinstance(ws, web.WebSocketResponse):
        protocol, log = ws.ws_protocol, log_of(request, hub)
    else:
        protocol, log = ws.protocol, SocketLog(CLIENT)
    is_client = isinstance(ws, ClientWebSocketResponse)
    life = Lifecycle(
        settings, protocol, log=log, opener=current_socket.get() if is_client else None, is_client=is_client
    )
    life.make_codec()
    if errors is not None:
        life.reports.errors.subscribe(errors)
    if incoming is not None:
        life.incoming.subscribe(incoming)
    life.open(open_wire(ws, settings.close_timeout), life.protocol)
    socket: WebSocket[Any, Any] = WebSocket(life, request=request, response=None if request is None else ws)
    if hub is not None:
        hub.add(socket, life)
    if outgoing is not None:
        life.stream(outgoing)
    return socket
