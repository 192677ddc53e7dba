"""`connect` opens the WebSocket that handlers get, too, over aiohttp's client; `feed` opens one that many share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, TypedDict, TypeVar, Unpack, overload

from aiohttp import ClientSession
from yarl import URL

from rxws import codecs
from rxws.backoff import Backoff
from rxws.checks import positive
from rxws.client.connecting import Connect
from rxws.client.dial import Dialer, Headers, ValueOrFunction
from rxws.client.greeting import Greet, check_greet
from rxws.client.sharing import ONCE, SharedFeed
from rxws.client.targets import Proxy, Trust, check_headers, check_proxy, check_tls, check_trust, check_url
from rxws.options import ClientOptions, CommonOptions, check, tell_options
from rxws.policies import Offline
from rxws.wires.aiohttp import base_of

F = TypeVar("F", bound=Callable[..., Any])
In = TypeVar("In")
Out = TypeVar("Out")
SERVER_ONLY: Final = ("origins",)


class HandshakeOptions(TypedDict, total=False):
    """The keyword options that only `connect` has."""

    reconnect: Backoff | None
    session: ClientSession | None
    headers: ValueOrFunction[Headers] | None
    ssl: Trust
    proxy: Proxy
    open_timeout: float
    greet: Greet[Any] | None


class ConnectOptions(ClientOptions, HandshakeOptions, total=False):
    """The keyword options of `connect`, for functions that pass them on."""


class ConnectBesideCodecs(CommonOptions, HandshakeOptions, total=False):
    """The keyword options of `connect` with a codec for each subprotocol: the handshake decides which one applies."""

    offline: Offline


@overload
def connect(
    url: ValueOrFunction[str | URL],
    *,
    protocols: Mapping[str, codecs.AnyCodec[Any, Any]],
    codec: codecs.AnyCodec[Any, Any] = ...,
    **options: Unpack[ConnectBesideCodecs],
) -> Connect[Any, Any]: ...
@overload
def connect(
    url: ValueOrFunction[str | URL],
    *,
    codec: codecs.AnyCodec[In, Out],
    reconnect: Backoff | None = None,
    session: ClientSession | None = None,
    headers: ValueOrFunction[Headers] | None = None,
    ssl: Trust = True,
    proxy: Proxy = None,
    open_timeout: float = 10.0,
    greet: Greet[In] | None = None,
    **options: Unpack[ClientOptions],
) -> Connect[In, Out]: ...
@overload
def connect(
    url: ValueOrFunction[str | URL],
    *,
    reconnect: Backoff | None = None,
    session: ClientSession | None = None,
    headers: ValueOrFunction[Headers] | None = None,
    ssl: Trust = True,
    proxy: Proxy = None,
    open_timeout: float = 10.0,
    greet: Greet[str | bytes] | None = None,
    **options: Unpack[ClientOptions],
) -> Connect[str | bytes, str | bytes]: ...
@tell_options(SERVER_ONLY)
def connect(
    url: ValueOrFunction[str | URL],
    *,
    reconnect: Backoff | None = None,
    session: ClientSession | None = None,
    headers: ValueOrFunction[Headers] | None = None,
    ssl: Trust = True,
    proxy: Proxy = None,
    open_timeout: float = 10.0,
    greet: Greet[Any] | None = None,
    **options: Any,
) -> Connect[Any, Any]:
    """Connect to a server. Enter what it returns, `async with ... as socket`, or await it, `socket = await ...`.

    Without `reconnect`, there is one connection. Opening it raises `ConnectError` if it fails, and the streams end with
    it. With a `Backoff`, entering returns at once. `incoming`, `outgoing` and `errors` outlive connections, until one
    ends permanently, the attempts are used up, or the socket is closed. What is sent while there is no connection
    waits, or follows `offline`. Nothing is sent twice: `socket.undelivered` emits what a broken connection was given
    and may not have delivered.

    Leaving the block sends what is queued, closes with 1000 and waits, within `close_timeout`. A block that raises
    closes with 1011 and re-raises, unless it raised a `Close` that closed the socket. Messages wait while there is no
    reader. A socket that you await is yours to close, with one exception: if a handler opened it, and that handler's
    socket ends as its last reader, it closes in the same way.

    `greet` goes first on every connection. The socket is not open, and a successor does not take over, before the
    greeting is done. What it sends is not sent again. If it raises, the connection closes with 1011, or with the
    `Close` that it raised, and the attempt has failed. Without `reconnect`, `connect` raises that error; with it,
    `Backoff(final=)` says whether there is another attempt.

    Args:
        url: A `ws://` or `wss://` URL, or a function or coroutine function that makes one for every attempt.
        codec: What messages are; text by default.
        reconnect: How the client reconnects; `None`: it does not.
        session: An aiohttp `ClientSession` to share, which stays open; `url` may then be relative to its `base_url`.
            Without it one is made, and closed.
        headers: Headers of the handshake, or a function or coroutine function that makes them for every attempt, with a
            fresh token for example.
        ssl: For a `wss` URL, which certificates are taken: those of an `ssl.SSLContext`, of an `aiohttp.Fingerprint`,
            `True` for those that this machine trusts, or `False` for all.
        proxy: `http://user:password@host:port`, which is asked for a tunnel (CONNECT), or `True` for the one that the
            environment names: for `wss` `WSS_PROXY`, else `HTTPS_PROXY`; for `ws` `WS_PROXY`, else `HTTPS_PROXY`, else
            `HTTP_PROXY`; otherwise `ALL_PROXY`. Hosts in `NO_PROXY` need no proxy.
        open_timeout: Seconds for one attempt, its greeting included.
        greet: What goes first on every connection, a login for example: a message, a tuple of messages, or a coroutine
            function that is given the connection, a `rxws.Greeting`.
        options: The options of the socket, see `rxws.options.Settings`.

    Raises `TypeError` or `ValueError` for a wrong option or URL, or headers that belong to the handshake.

    Memory: the same as a server's socket. With `reconnect`, also up to `max_buffered` bytes of messages whose arrival
    is not confirmed yet.

    >>> import asyncio, rxws
    >>> from aiohttp import web
    >>> from aiohttp.test_utils import TestServer
    >>> async def main():
    ...     app = web.Application()
    ...     app.router.add_get("/", rxws.websocket(lambda incoming: incoming))
    ...     async with TestServer(app) as server, rxws.connect(server.make_url("/")) as socket:
    ...         socket.outgoing.on_next("hello")
    ...         print(await socket.receive())
    >>> asyncio.run(main())
    hello
    """
    settings = check(options, without=SERVER_ONLY, also=HandshakeOptions.__annotations__)
    check_proxy(proxy)
    check_trust(ssl)
    if reconnect is not None and not isinstance(reconnect, Backoff):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"reconnect must be a Backoff, such as rxws.Backoff(), not {reconnect!r}")
    if "offline" in options and reconnect is None:
        raise ValueError("offline is for sockets that reconnect: pass reconnect=rxws.Backoff() too")
    positive("open_timeout", open_timeout, "seconds")
    check_greet(greet, settings)
    if session is not None and not isinstance(session, ClientSession):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"session must be an aiohttp.ClientSession, not {session!r}")
    if not callable(url):
        check_tls(check_url(url, None if session is None else base_of(session)), ssl)
    if not callable(headers):
        check_headers(headers)
    dialer = Dialer(url, settings, session=session, headers=headers, ssl=ssl, proxy=proxy, open_timeout=open_timeout)
    return Connect(dialer, settings, reconnect, greet, open_timeout)


def signed_like_connect(returns: str, *, without: str = "") -> Callable[[F], F]:
    """Make a decorator: `inspect.signature` of the function then shows the options of `connect`."""

    def decorate(function: F) -> F:
        signature = inspect.signature(connect)
        parameters = [one for one in signature.parameters.values() if one.name != without]
        signature = signature.replace(parameters=parameters, return_annotation=returns)
        setattr(function, "__signature__", signature)  # noqa: B010
        return function

    return decorate


@overload
def feed(
    url: ValueOrFunction[str | URL],
    *,
    protocols: Mapping[str, codecs.AnyCodec[Any, Any]],
    codec: codecs.AnyCodec[Any, Any] = ...,
    **options: Unpack[ConnectBesideCodecs],
) -> SharedFeed[Any]: ...
@overload
def feed(
    url: ValueOrFunction[str | URL], *, codec: codecs.AnyCodec[In, Out], **options: Unpack[ConnectOptions]
) -> SharedFeed[In]: ...
@overload
def feed(url: ValueOrFunction[str | URL], **options: Unpack[ConnectOptions]) -> SharedFeed[str | bytes]: ...
@signed_like_connect("SharedFeed[Any]")
def feed(url: ValueOrFunction[str | URL], **options: Any) -> SharedFeed[Any]:
    """Make an Observable of what a server sends, which any number may share: one connection while anyone is subscribed.

    `prices = rxws.feed(url, codec=rxws.json, reconnect=rxws.Backoff())` opens nothing yet. The first subscriber
    connects, and the last one that leaves closes. `prices.states` reports outages. Without `reconnect`, a lost
    connection is an error that ends the feed; `prices.pipe(ops.retry())` subscribes again and starts over. `SharedFeed`
    says what subscribers get, how it ends, and what a slow one causes.

    Args:
        url: As for `connect`.
        codec: What messages are; text by default.
        options: As for `connect`; a wrong one raises at once.

    >>> import asyncio, rxws
    >>> from aiohttp import web
    >>> from aiohttp.test_utils import TestServer
    >>> def prices(incoming, outgoing):
    ...     outgoing.on_next("1.07")
    ...     outgoing.on_completed()
    >>> async def main():
    ...     app = web.Application()
    ...     app.router.add_get("/", rxws.websocket(prices))
    ...     async with TestServer(app) as server:
    ...         print(await rxws.feed(server.make_url("/")))
    >>> asyncio.run(main())
    1.07
    """
    connect(url, **options)  # raises now what is wrong
    opening: Any = {**options, "reconnect": options.get("reconnect") or ONCE}
    return SharedFeed(lambda: connect(url, **opening))
