"""rxws on an aiohttp server: `websocket`, `accept`, `attach`, `setup`."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar, Unpack, overload

from aiohttp import web

from rxws import codecs
from rxws.checks import positive, positive_int
from rxws.close import Close
from rxws.core.handler import OPTIONS, Handler, HandlerFunction
from rxws.core.lifecycle import Lifecycle
from rxws.core.socket import WebSocket, closing_on_exit
from rxws.errors import parted
from rxws.options import CommonOptions, ServerOptions, Settings, check, tell_options
from rxws.rx.holds import current_socket
from rxws.server.all_processes import Sharing
from rxws.server.hub import Hub
from rxws.server.loop_watch import LoopWatch
from rxws.server.openings import wait_to_open
from rxws.server.upgrade import HUB, Upgrade

In = TypeVar("In")
Out = TypeVar("Out")
Texts = WebSocket[str | bytes, str | bytes]
CLIENT_ONLY = ("offline",)
ON_ASGI = "on ASGI, use rxws.asgi."
AiohttpHandler = Callable[..., Awaitable[web.StreamResponse]]
Codecs = Mapping[str, codecs.AnyCodec[Any, Any]]


class OptionsBesideCodecs(CommonOptions, total=False):
    """The keyword options of `websocket` and `accept` with a codec for each subprotocol: the handshake chooses one."""

    origins: str | Iterable[str]


@overload
def websocket(handler: HandlerFunction[codecs.Sendable], /) -> AiohttpHandler: ...
@overload
def websocket(
    *, protocols: Codecs, codec: codecs.AnyCodec[Any, Any] = ..., **options: Unpack[OptionsBesideCodecs]
) -> Callable[[HandlerFunction[Any]], AiohttpHandler]: ...
@overload
def websocket(
    *, codec: codecs.AnyCodec[In, Out], **options: Unpack[ServerOptions]
) -> Callable[[HandlerFunction[Out]], AiohttpHandler]: ...
@overload
def websocket(
    **options: Unpack[ServerOptions],
) -> Callable[[HandlerFunction[codecs.Sendable]], AiohttpHandler]: ...
@tell_options(CLIENT_ONLY)
def websocket(handler: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Turn a function that composes Observables into an aiohttp handler.

    The function asks by parameter name for what it uses: `request`, `incoming`, `outgoing`, `errors`, `socket`. A `def`
    runs before the handshake is answered. It returns an Observable (what the client receives), Disposables (which the
    socket owns), or `None`. An `async def` runs while the socket is open. An `async def` with `yield` sends what it
    yields. Works on functions, methods, `functools.partial` and callable objects.

    Args:
        handler: The function; without it, as in `@rxws.websocket(codec=rxws.json)`, a decorator is returned.
        codec: What messages are; text by default.
        options: The options of the socket, see `rxws.options.Settings`; checked at decoration.

    Raises `TypeError` or `ValueError` at decoration for a wrong parameter name or option. The aiohttp handler answers
    400, 405, 426 or 505 to a request that is not a WebSocket handshake (RFC 6455, section 4.2), 403 to a foreign
    Origin, and 503 beyond `max_connections`.

    Memory: per socket at most `max_buffered` bytes to send, one message to receive, and 64 KiB read ahead.

    >>> from reactivex import operators as ops
    >>> @websocket(heartbeat=10)
    ... def shout(incoming):
    ...     return incoming.pipe(ops.map(str.upper))
    """
    settings = check(options, without=CLIENT_ONLY)

    def decorate(function: Callable[..., Any]) -> AiohttpHandler:
        bound = Handler(function)

        async def begin(*args: Any) -> tuple[Lifecycle, web.StreamResponse]:
            *first, request = args
            if not isinstance(request, web.Request) and isinstance(request, web.View):
                first, request = list(args), request.request
            await wait_to_open()
            upgrade = Upgrade(request, settings)
            try:
                start = bound.compose(upgrade.life, upgrade.socket, tuple(first), (web.HTTPException,))
                await upgrade.open()
                start()
                del start  # which may have an error, whose traceback has this frame
                return upgrade.life, upgrade.response
            except BaseException as error:
                upgrade.give_up(error)
                raise

        async def handle(*args: Any) -> web.StreamResponse:
            life, response = await begin(*args)  # what only the beginning needs is not kept
            del args
            try:
                await life.closed
                await life.worked()
            finally:
                life.abort()
            return response

        functools.update_wrapper(handle, function)
        setattr(handle, OPTIONS, options)
        return handle

    return decorate if handler is None else decorate(handler)


@overload
def accept(
    request: web.BaseRequest,
    *,
    protocols: Codecs,
    codec: codecs.AnyCodec[Any, Any] = ...,
    **options: Unpack[OptionsBesideCodecs],
) -> AbstractAsyncContextManager[WebSocket[Any, Any]]: ...
@overload
def accept(
    request: web.BaseRequest, *, codec: codecs.AnyCodec[In, Out], **options: Unpack[ServerOptions]
) -> AbstractAsyncContextManager[WebSocket[In, Out]]: ...
@overload
def accept(request: web.BaseRequest, **options: Unpack[ServerOptions]) -> AbstractAsyncContextManager[Texts]: ...
@tell_options(CLIENT_ONLY)
def accept(request: web.BaseRequest, **options: Any) -> Any:
    """Open a socket in an aiohttp handler of your own, after any work that comes first.

    Leaving `async with accept(request) as socket:` sends what is queued and closes with 1000. A block that raises
    closes with 1011 and re-raises, unless it raised a `Close`. The handler returns `socket.response`. Messages wait
    while there is no reader. aiohttp's low-level server (`web.Server`) has no application, so the limit, the counters
    and the 1001 at shutdown of `setup` do not apply there.

    Args:
        request: The request of your aiohttp handler.
        codec: What messages are; text by default.
        options: As of `websocket`.

    Raises what `websocket` answers: `web.HTTPUpgradeRequired`, `HTTPBadRequest`, `HTTPMethodNotAllowed`,
    `HTTPVersionNotSupported`, `HTTPForbidden`, `HTTPServiceUnavailable`, and `HTTPBadRequest` if the client has left;
    `TypeError` or `ValueError` for a wrong option. Memory: as for `websocket`.
    """
    settings = check(options, without=CLIENT_ONLY)
    if not isinstance(request, web.BaseRequest):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"accept takes an aiohttp.web.Request, not {request!r}: {ON_ASGI}accept(websocket)")
    return _accept(request, settings)


@asynccontextmanager
async def _accept(request: web.BaseRequest, settings: Settings) -> AsyncGenerator[WebSocket[Any, Any], None]:
    await wait_to_open()
    upgrade = Upgrade(request, settings)
    try:
        await upgrade.open()
        before = current_socket.get()
        current_socket.set(upgrade.life)
        try:
            async with closing_on_exit(upgrade.life):
                yield upgrade.socket
        finally:
            current_socket.set(before)
    except Exception as error:
        if parted(error, Close)[1] is not None:
            raise  # all but the Close of the peer, which receive() raised
    finally:
        upgrade.life.abort()


def setup(
    app: web.Application,
    *,
    max_connections: int | None = None,
    shutdown_code: int = 1001,
    shutdown_timeout: float = 1.0,
) -> Hub:
    """Set up an application for its sockets, and return its `Hub`.

    When the application shuts down, every socket is closed with `shutdown_code`, and new ones get 503. What was queued
    is sent first. After `shutdown_timeout` seconds, connections whose peers do not read or answer are aborted, even if
    their `close_timeout` is longer. Sockets beyond `max_connections` at a time get 503 too. The limit is for each
    process: `run(app, workers=4)` admits four times as many. Call `setup` before the application runs.

    Args:
        app: The application; its sub-applications share the hub.
        max_connections: Sockets that may be open at a time; further ones get 503. `None`: no limit.
        shutdown_code: The close code of the sockets at shutdown.
        shutdown_timeout: Seconds that closing may take at shutdown, even if a `close_timeout` is longer.

    Raises `RuntimeError` on an application that runs or has a hub already, `TypeError` or `ValueError` for a wrong
    option.

    >>> hub = setup(web.Application(), max_connections=1000)
    >>> len(hub), hub.max_connections
    (0, 1000)
    """
    if not isinstance(app, web.Application):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"setup takes an aiohttp.web.Application, not {app!r}: {ON_ASGI}setup(app)")
    if app.pre_frozen:
        raise RuntimeError("rxws.setup(app) came too late: call it before the application runs or is nested in another")
    if HUB in app:
        raise RuntimeError("rxws.setup(app) was called before for this application")
    if max_connections is not None:
        positive_int("max_connections", max_connections, "sockets", none="no limit")
    timeout = positive("shutdown_timeout", shutdown_timeout, "seconds")
    watch = LoopWatch()
    hub = app[HUB] = Hub(max_connections, shutdown_code, timeout, watch)
    sharing = Sharing(hub)

    async def start(_: web.Application) -> None:
        watch.start()
        sharing.start()

    async def shut_down(_: web.Application) -> None:
        await hub.shut_down()

    async def stop(_: web.Application) -> None:
        watch.stop()
        sharing.stop()

    app.on_startup.append(start)
    app.on_shutdown.append(shut_down)
    app.on_cleanup.append(stop)
    return hub
