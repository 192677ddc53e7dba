"""A handler as an ASGI endpoint, and a socket in your own endpoint."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar, Unpack, overload

from rxws import codecs
from rxws.asgi.lifespan import answer_others
from rxws.asgi.opening import Opening
from rxws.asgi.refusal import Denied, answers, deny, is_for_framework, raised, refusal_of
from rxws.asgi.request import Calling, show_frameworks, wants_plain
from rxws.close import Close
from rxws.core.handler import OPTIONS, Handler, HandlerFunction
from rxws.core.lifecycle import Lifecycle
from rxws.core.socket import WebSocket, closing_on_exit
from rxws.errors import parted
from rxws.options import Heartbeat, ServerOptions, Settings, check, tell_options
from rxws.rx.holds import current_socket
from rxws.server.openings import wait_to_open
from rxws.server.routes import CLIENT_ONLY, Codecs, OptionsBesideCodecs, Texts
from rxws.wires.asgi import AsgiWire

In = TypeVar("In")
Out = TypeVar("Out")
AsgiHandler = Callable[..., Awaitable[None]]

SERVER_DECIDES = {
    "compress": "decides about compression (uvicorn: --ws-per-message-deflate)",
    "message_timeout": "delivers whole messages",
}
"""Options that the server decides about, and what it does."""


@overload
def websocket(handler: HandlerFunction[codecs.Sendable], /) -> AsgiHandler: ...
@overload
def websocket(
    *, protocols: Codecs, codec: codecs.AnyCodec[Any, Any] = ..., **options: Unpack[OptionsBesideCodecs]
) -> Callable[[HandlerFunction[Any]], AsgiHandler]: ...
@overload
def websocket(
    *, codec: codecs.AnyCodec[In, Out], **options: Unpack[ServerOptions]
) -> Callable[[HandlerFunction[Out]], AsgiHandler]: ...
@overload
def websocket(
    **options: Unpack[ServerOptions],
) -> Callable[[HandlerFunction[codecs.Sendable]], AsgiHandler]: ...
@tell_options((*CLIENT_ONLY, *SERVER_DECIDES), heartbeat=None)
def websocket(handler: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Turn a function that composes Observables into an ASGI endpoint: `rxws.websocket` for ASGI servers.

    The function asks by name for `request`, `incoming`, `outgoing`, `errors`, `socket`. Its other parameters are the
    framework's: dependencies of FastAPI and Litestar, path parameters. `request` is the framework's WebSocket object;
    an `rxws.asgi.Request` without a framework, and if its annotation says so, or is aiohttp's `web.Request`, which has
    the same names. The endpoint works under `@app.websocket(path)` of FastAPI, in Starlette's `WebSocketRoute`, under
    Litestar's `@websocket(path)`, and as an ASGI application by itself. If a `def` handler raises an `HTTPException`,
    aiohttp's too, or a `WebSocketException`, that answers the handshake.

    Args:
        handler: The function; without it, as in `@rxws.asgi.websocket(codec=rxws.json)`, a decorator is returned.
        codec: What messages are; text by default.
        options: The options of the socket, see `rxws.options.Settings`; checked at decoration.

    Pings, compression and the time for one message are up to the server. So `heartbeat` takes only a
    `Heartbeat` with messages of its own, and `compress` and `message_timeout` have to be off. `max_msg_size` applies
    below the server's own limit. Raises `TypeError` or `ValueError` at decoration for these and for a wrong option. The
    client gets 403 for a foreign Origin, and 503 beyond `max_connections`.

    Memory: per socket at most `max_buffered` bytes to send, and 64 KiB and one message read ahead. The server's own
    buffers come on top, see `docs/asgi.md`.

    >>> from reactivex import operators as ops
    >>> @websocket(codec=codecs.json)
    ... def shout(incoming):
    ...     return incoming.pipe(ops.map(str.upper))
    """
    settings = check_options(options)

    def decorate(function: Callable[..., Any]) -> AsgiHandler:
        bound = Handler(function, guests=True)
        plain = wants_plain(function)

        async def begin(call: Calling) -> tuple[Lifecycle, AsgiWire] | None:
            opening = None
            try:
                guests = call.arguments(bound.guests)
                await wait_to_open()
                opening = Opening(call, settings)
                await opening.begin()
                start = bound.compose(opening.life, opening.socket, call.first, answers(), guests)
                wire = await opening.open()
                start()
                del start  # which may have an error, whose traceback has this frame
                return opening.life, wire
            except BaseException as error:
                if opening is not None:
                    opening.life.abort()
                if isinstance(error, answers()) and not is_for_framework(error, call):
                    error = refusal_of(error)
                if not isinstance(error, Denied):
                    raise
                refusal = error
            if refusal.status:
                await deny(call, refusal, settings.close_timeout)
            return None

        async def handle(*args: Any, **named: Any) -> None:
            calling = Calling(args, named, plain=plain)
            if calling.scope["type"] != "websocket":
                await answer_others(calling.scope, calling.receive, calling.send)
                return
            begun = await begin(calling)  # what only the beginning needs is not kept
            del args, named, calling
            if begun is None:
                return
            life, wire = begun
            del begun
            try:
                await life.closed
                await life.worked()
                wire.check_end()
            except asyncio.CancelledError:  # the server shuts down: it may take a close frame yet
                life.close(Close(1001), flush=False)
                await asyncio.sleep(0)  # before Python 3.12 a task sends it
                raise
            finally:
                life.abort()

        functools.update_wrapper(handle, function)
        show_frameworks(handle, function, bound)
        setattr(handle, OPTIONS, options)
        return handle

    return decorate if handler is None else decorate(handler)


@overload
def accept(
    *connection: Any,
    protocols: Codecs,
    codec: codecs.AnyCodec[Any, Any] = ...,
    **options: Unpack[OptionsBesideCodecs],
) -> AbstractAsyncContextManager[WebSocket[Any, Any]]: ...
@overload
def accept(
    *connection: Any, codec: codecs.AnyCodec[In, Out], **options: Unpack[ServerOptions]
) -> AbstractAsyncContextManager[WebSocket[In, Out]]: ...
@overload
def accept(*connection: Any, **options: Unpack[ServerOptions]) -> AbstractAsyncContextManager[Texts]: ...
@tell_options((*CLIENT_ONLY, *SERVER_DECIDES), heartbeat=None)
def accept(*connection: Any, **options: Any) -> Any:
    """Open a socket in an endpoint of your own: `accept(websocket)`, or `accept(scope, receive, send)`.

    Leaving `async with accept(websocket) as socket:` sends what is queued and closes with 1000. A block that raises
    closes with 1011 and re-raises, unless it raised a `Close`. Messages wait while there is no reader. The endpoint
    must not accept the WebSocket itself.

    Args:
        connection: The WebSocket of Starlette, FastAPI or Litestar; or `scope`, `receive` and `send`.
        codec: What messages are; text by default.
        options: As of `websocket`.

    Raises the framework's `HTTPException` for a foreign Origin (403), beyond `max_connections` (503), and if the client
    has left (400). Without a framework it raises `Denied`, and has then answered the client. Raises `RuntimeError` for
    a WebSocket that was accepted before, `TypeError` or `ValueError` for a wrong option. Memory: as for `websocket`.
    """
    return _accept(Calling(connection, {}), check_options(options))


@asynccontextmanager
async def _accept(call: Calling, settings: Settings) -> AsyncGenerator[WebSocket[Any, Any], None]:
    opening = None
    try:
        try:
            await wait_to_open()
            opening = Opening(call, settings)
            await opening.begin()
            wire = await opening.open()
        except Denied as refusal:
            error = raised(call, refusal)
            if error is refusal and refusal.status:
                await deny(call, refusal, settings.close_timeout)
            raise error from None
        before = current_socket.get()
        current_socket.set(opening.life)
        try:
            async with closing_on_exit(opening.life):
                yield opening.socket
        except Exception as error:
            if parted(error, Close)[1] is not None:
                raise  # all but the Close of the peer, which receive() raised
        finally:
            current_socket.set(before)
        wire.check_end()
    finally:
        if opening is not None:
            opening.life.abort()


def check_options(options: Mapping[str, Any]) -> Settings:
    """Check the options of a socket on ASGI, and fill in its defaults: what is the server's is off."""
    settings = check({"heartbeat": None, "message_timeout": None, **options}, without=CLIENT_ONLY)
    for name, how in SERVER_DECIDES.items():
        if getattr(settings, name):
            raise TypeError(f"{name} has no effect here: on ASGI the server {how}. Leave {name} out")
    words = settings.heartbeat
    if words is not None and not (isinstance(words, Heartbeat) and (words.ping is not None or words.answer)):
        raise TypeError(
            f"heartbeat={words!r} has no effect here: on ASGI the server pings (uvicorn: --ws-ping-interval, hypercorn:"
            " websocket_ping_interval). Leave it out, or ping with your own messages: rxws.Heartbeat(seconds, ping=...)"
        )
    return settings
