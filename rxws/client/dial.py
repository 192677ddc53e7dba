"""From a URL to an open connection, over aiohttp's client; what refuses is told apart."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import inspect
import ssl as tls
import time
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextvars import ContextVar
from datetime import UTC
from types import SimpleNamespace
from typing import Any, Final, Literal, TypeVar, cast
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp import (
    ClientSession,
    TraceConfig,
    TraceRequestRedirectParams,
    WSServerHandshakeError,
    hdrs,
)
from yarl import URL

from rxws.client.reconnect import Dialed
from rxws.client.secrets import Secrets, without_secrets
from rxws.errors import NO_HEADERS, ConnectError, Stage, leaves
from rxws.options import Settings
from rxws.rx.foreign import cancelled
from rxws.wires.aiohttp import (
    SECURE,
    Asking,
    Tunneling,
    abandon,
    arrived_with,
    base_of,
    frame_limit,
    keep_from_closing,
    open_wire,
)
from rxws.wires.negotiation import check_answer

T = TypeVar("T")
ValueOrFunction = T | Callable[[], T] | Callable[[], Awaitable[T]]
"""A value, or a function or coroutine function that makes one for every attempt."""

Headers = Mapping[str, str]

Proxy = str | URL | Literal[True] | None
"""The URL of a proxy, or `True` for what the environment says."""

SOCKS: Final = ("aiohttp_socks", "python_socks")
"""The packages whose errors are those of a proxy."""

BODY: Final = 1024
"""Bytes of a refusal's body that are read."""

BODY_TIMEOUT: Final = 1.0
"""Seconds that reading them may take."""


OURS: Final = ("Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Extensions")
"""Headers of the handshake that nobody else may set: they have to fit one another (RFC 6455, section 4.1)."""


class _Attempt:
    """What is known of an attempt, and what aiohttp drops of its answer."""

    def __init__(self) -> None:
        self.secrets = Secrets()
        self.proxy: URL | None = None
        """The proxy that it goes through."""
        self.connecting = False
        """Whether a connection is being opened."""
        self.queued: ClientSession | None = None
        """The session whose connector has no connection to give."""
        self.response: aiohttp.ClientResponse | None = None
        """The server's answer."""
        self.body = b""
        """What there is of it, of a refusal."""
        self.arrived: bytes | None = None
        """The frames that came with an upgrade."""

    async def see(self, response: aiohttp.ClientResponse) -> None:
        """Note an answer."""
        self.response = response
        if response.status == 101:
            self.arrived = arrived_with(response)
            return
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(BODY_TIMEOUT):
                while chunk := await response.content.read(BODY - len(self.body)):
                    self.body += chunk


_attempt = ContextVar[_Attempt | None]("rxws_attempt", default=None)
"""Set while aiohttp asks for a connection, so that what else is asked of its session is left alone."""


class Dialer:
    """Opens connections to one place, each on a wire of its own."""

    def __init__(
        self,
        url: ValueOrFunction[str | URL],
        settings: Settings,
        *,
        session: ClientSession | None = None,
        headers: ValueOrFunction[Headers] | None = None,
        ssl: tls.SSLContext | bool = True,
        proxy: Proxy = None,
        open_timeout: float = 10.0,
    ) -> None:
        self._url = url
        self._headers = headers
        self._settings = settings
        self._shared = session
        self._own: ClientSession | None = None
        self._tunneling: Tunneling | None = None
        self._ssl = ssl
        self._proxy = proxy
        self._open_timeout = open_timeout

    @property
    def target(self) -> str | None:
        """The URL, without query and password; `None` if it is made for every attempt."""
        if callable(self._url):
            return None
        return without_secrets(check_url(self._url, None if self._shared is None else base_of(self._shared)))

    async def dial(self) -> Dialed:
        """Open a connection; raises `ConnectError`.

        What a function that makes the URL or headers raises is raised on, unless it is an error of aiohttp's.
        """
        attempt = _Attempt()
        limit = asyncio.timeout(self._open_timeout)
        try:
            async with limit:
                return await self._open(attempt)
        except TimeoutError as error:
            within = f"within {self._open_timeout:g} s" if limit.expired() else "in the time that the session gives"
            message = f"no connection {within}{_through(attempt)}{_queue(attempt)}"
            raise ConnectError(message, "timeout") from attempt.secrets.clean(error)
        except (aiohttp.ClientError, OSError) as error:
            raise _refusal(error, attempt) from attempt.secrets.clean(error)
        except Exception as error:
            if not _is_of_socks(error):
                raise
            raise _refusal(error, attempt) from attempt.secrets.clean(error)
        except asyncio.CancelledError as error:
            if cancelled(error):
                raise
            raise ConnectError("what the attempt waited for was cancelled", "handshake") from error
        finally:
            del limit  # which has the task, which may keep what is raised here

    async def close(self) -> None:
        """Close the session, if it is not shared, and the tunnels."""
        if self._tunneling is not None:
            await self._tunneling.close()
        if self._own is not None:
            await self._own.close()

    async def _open(self, attempt: _Attempt) -> Dialed:
        try:
            url = await _resolve(self._url)
            headers = None if self._headers is None else await _resolve(self._headers)
        except Exception as error:
            if not all(isinstance(one, (aiohttp.ClientError, OSError)) for one in leaves(error)):
                raise
            message = f"the URL or headers could not be made: {attempt.secrets.hide(str(error))}"
            raise ConnectError(message, "request") from attempt.secrets.clean(error)
        except asyncio.CancelledError as error:
            if cancelled(error):
                raise
            raise ConnectError(
                "the URL or headers could not be made: what they await was cancelled", "request"
            ) from error
        session = self._shared or self._session()
        checked = check_url(url, base_of(session))
        check_headers(headers)
        check_tls(checked, self._ssl)
        attempt.secrets.add(checked)
        proxy = proxy_of_environment(checked) if isinstance(self._proxy, bool) else self._proxy
        attempt.secrets.add(proxy)
        attempt.proxy = None if proxy is None else URL(proxy)
        settings = self._settings
        through = session if proxy is None or checked.scheme in SECURE else self._tunnels(session)
        with _watching(session, attempt):
            ws = await Asking(through, attempt.see).connect(
                URL(url),  # may be relative, to the session's
                headers=headers,
                protocols=settings.protocols,
                timeout=_ws_timeout(settings.close_timeout),
                compress=15 if settings.compress else 0,
                max_msg_size=frame_limit(settings.max_msg_size),
                autoping=False,
                autoclose=False,
                ssl=self._ssl,
                proxy=proxy,
            )
        response = cast("aiohttp.ClientResponse", attempt.response)
        try:
            protocol = _agreed(response, deflate=settings.compress)
        except ValueError as error:
            abandon(ws)
            message = f"the server's handshake is wrong: {error}"
            raise ConnectError(message, "handshake", status=101, headers=response.headers) from None
        keep_from_closing(ws)
        limit = frame_limit(settings.max_msg_size)
        wire = open_wire(ws, settings.close_timeout, limit=limit, arrived=attempt.arrived)
        return Dialed(wire, protocol, response.headers)

    def _session(self) -> ClientSession:
        if self._own is None:
            self._own = ClientSession(timeout=aiohttp.ClientTimeout(total=None))  # `open_timeout` bounds all of it
        return self._own

    def _tunnels(self, session: ClientSession) -> Tunneling:
        if self._tunneling is None:
            self._tunneling = Tunneling(session)
        return self._tunneling


def check_url(url: object, base: URL | None = None) -> URL:
    """Return a URL that a WebSocket can have (RFC 6455, section 3); raises `TypeError` or `ValueError`.

    >>> check_url("example.com/feed")
    Traceback (most recent call last):
        ...
    ValueError: 'example.com/feed' is no WebSocket URL: expected ws://host/path or wss://host/path
    """
    if not isinstance(url, (str, URL)):
        raise TypeError(f"a URL is a str or a yarl.URL, not {type(url).__name__}")  # not what is in it: a token, say
    checked = URL(url) if base is None else base.join(URL(url))
    shown = without_secrets(url)
    if checked.scheme not in ("ws", "wss", "http", "https") or not checked.host:
        raise ValueError(f"{shown!r} is no WebSocket URL: expected ws://host/path or wss://host/path")
    if checked.raw_fragment:
        raise ValueError(f"the URL of a WebSocket has no fragment: leave out what follows '#' in {shown!r}")
    return checked


def check_tls(url: URL, ssl: tls.SSLContext | bool) -> None:
    """Raise `ValueError` for a TLS setting that a URL has no use for."""
    if ssl is not True and url.scheme not in SECURE:
        raise ValueError(f"ssl is for wss: the URL {without_secrets(url)!r} asks for no encryption")


def check_proxy(proxy: object) -> None:
    """Raise `TypeError` or `ValueError` for what is not the URL of a proxy.

    >>> check_proxy("proxy.example.com:3128")
    Traceback (most recent call last):
        ...
    ValueError: 'proxy.example.com:3128' is not a proxy's URL: expected http://host:port
    """
    if proxy is None or proxy is True:
        return
    if not isinstance(proxy, (str, URL)):
        raise TypeError(f"proxy must be a str, a yarl.URL, or True for that of the environment, not {proxy!r}")
    shown = without_secrets(proxy)
    try:
        url = URL(proxy)
    except ValueError:
        url = URL()
    if url.scheme.startswith("socks"):
        hint = "connect(url, session=ClientSession(connector=...)) with the connector of aiohttp-socks"
        raise ValueError(f"aiohttp has no SOCKS: for {shown!r} use {hint}")
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{shown!r} is not a proxy's URL: expected http://host:port")


def proxy_of_environment(url: URL) -> URL | None:
    """Give the proxy that the environment names for a URL, if there is one; raises `ValueError` if it cannot be one.

    For `wss` that is `WSS_PROXY`, else `HTTPS_PROXY`. For `ws` it is `WS_PROXY`, else `HTTPS_PROXY`, else `HTTP_PROXY`:
    a proxy that makes tunnels comes first (RFC 6455, section 4.1). At last, `ALL_PROXY`. None for the hosts of
    `NO_PROXY`. Names in small letters count first. On Windows and macOS, the system's settings count without these.
    """
    if proxy_bypass(f"{url.host}:{url.port}"):
        return None
    proxies = getproxies()
    for name in ("wss", "https", "all") if url.scheme in SECURE else ("ws", "https", "http", "all"):
        if proxy := proxies.get(name):
            proxy = proxy if "://" in proxy else f"http://{proxy}"
            check_proxy(proxy)
            return URL(proxy)
    return None


def check_headers(headers: Mapping[str, str] | None) -> None:
    """Raise `ValueError` for headers that would break the handshake."""
    ours = {name.lower(): name for name in OURS}
    for name in headers or ():
        if name.lower() in ours:
            raise ValueError(f"headers must not hold {ours[name.lower()]}: it belongs to the handshake")


async def _resolve(source: Any) -> Any:
    made = source() if callable(source) else source
    return await made if inspect.isawaitable(made) else made


def _ws_timeout(close_timeout: float) -> aiohttp.ClientWSTimeout:
    return cast("Any", aiohttp.ClientWSTimeout)(ws_close=close_timeout)


def _make_tracer() -> TraceConfig:
    """Make what watches a session for the attempts: where they are sent, and how far they have come."""

    async def refuse(_: ClientSession, __: SimpleNamespace, params: TraceRequestRedirectParams) -> None:
        response = params.response
        if _attempt.get() is None or hdrs.SEC_WEBSOCKET_KEY not in response.request_info.headers:
            return
        try:
            target = response.url.join(URL(response.headers.get(hdrs.LOCATION, "")))
        except ValueError:  # which is aiohttp's to say
            return
        if response.url.scheme in SECURE and target.scheme not in SECURE:
            response.close()
            message = f"the server redirects to {without_secrets(target)}, which is not encrypted"
            raise ConnectError(message, "http", status=response.status, headers=response.headers)

    async def wait(session: ClientSession, *_: object) -> None:
        if (attempt := _attempt.get()) is not None:
            attempt.queued = session

    async def go_on(*_: object) -> None:
        if (attempt := _attempt.get()) is not None:
            attempt.queued = None

    async def connecting(*_: object) -> None:
        if (attempt := _attempt.get()) is not None:
            attempt.connecting = True

    async def connected(*_: object) -> None:
        if (attempt := _attempt.get()) is not None:
            attempt.connecting = False

    tracer = TraceConfig()
    tracer.on_connection_create_start.append(connecting)
    tracer.on_connection_create_end.append(connected)
    tracer.on_request_redirect.append(refuse)
    tracer.on_connection_queued_start.append(wait)
    tracer.on_connection_queued_end.append(go_on)
    tracer.freeze()
    return tracer


_tracer: Final = _make_tracer()
"""One for all attempts: it keeps itself, so that one for each would be left to Python's collector."""

_attempts = WeakKeyDictionary[ClientSession, int]()


@contextlib.contextmanager
def _watching(session: ClientSession, attempt: _Attempt) -> Generator[None]:
    """Watch a session during an attempt; several may be made at a time."""
    others = _attempts.get(session, 0)
    _attempts[session] = others + 1
    if not others:
        session.trace_configs.append(_tracer)
    token = _attempt.set(attempt)
    try:
        yield
    finally:
        _attempt.reset(token)
        _attempts[session] -= 1
        if not _attempts[session]:
            session.trace_configs.remove(_tracer)


def _queue(attempt: _Attempt) -> str:
    """Tell that an attempt came no further than to the connector's queue."""
    connector = None if attempt.queued is None else attempt.queued.connector
    if connector is None:
        return ""
    limits = f"limit={connector.limit}, limit_per_host={connector.limit_per_host}"
    return f": all connections of the session's connector are in use ({limits})"


def _through(attempt: _Attempt) -> str:
    """Tell that an attempt came no further than to its proxy, or to TLS behind it."""
    if attempt.proxy is None or not attempt.connecting:
        return ""
    return f" through the proxy {without_secrets(attempt.proxy)}"


def _is_of_socks(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in SOCKS


def _agreed(response: aiohttp.ClientResponse, *, deflate: bool) -> str | None:
    """Return the subprotocol of an upgrade; raises `ValueError` for what was not asked for (RFC 6455, section 4.1)."""
    headers, asked = response.headers, response.request_info.headers
    for name in (hdrs.SEC_WEBSOCKET_ACCEPT, hdrs.SEC_WEBSOCKET_PROTOCOL):
        if len(headers.getall(name, ())) > 1:
            raise ValueError(f"{name} comes more than once")
    if extensions := headers.getall(hdrs.SEC_WEBSOCKET_EXTENSIONS, ()):
        check_answer(extensions, deflate=deflate)
    protocol = headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL)
    offered = [name.strip() for name in asked.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",")]
    if protocol is not None and (not protocol or protocol not in offered):
        raise ValueError(f"the server wants the subprotocol {protocol!r}, which was not offered")
    return protocol


def _refusal(error: Exception, attempt: _Attempt) -> ConnectError:
    if isinstance(error, ConnectError):
        return error
    hide, response = attempt.secrets.hide, attempt.response
    if isinstance(error, WSServerHandshakeError) and response is not None:
        status, headers = response.status, response.headers
        if status == 101:
            message = f"the server's handshake is wrong: {hide(error.message)}"
            return ConnectError(message, "handshake", status=101, headers=headers)
        text = attempt.body.decode(errors="replace")
        shown = f": {hide(text.strip())[:200]!r}" if text.strip() else ""
        message = f"the server answered {status} in place of 101{shown}"
        retry_after = _retry_after(headers)
        return ConnectError(message, "http", status=status, headers=headers, body=text, retry_after=retry_after)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        headers = error.headers or NO_HEADERS
        message = f"the proxy answered {error.status} {hide(error.message)!r}"
        retry_after = _retry_after(headers)
        return ConnectError(message, "proxy", status=error.status, headers=headers, retry_after=retry_after)
    if isinstance(error, aiohttp.TooManyRedirects):
        status = error.history[0].status
        return ConnectError(f"the server answered {status} in place of 101, again and again", "http", status=status)
    if isinstance(error, aiohttp.RedirectClientError):
        return ConnectError(f"the server redirects to what is not a WebSocket's URL: {hide(str(error))}", "http")
    return ConnectError(hide(str(error)) or type(error).__name__, _stage(error, attempt))


def _stage(error: Exception, attempt: _Attempt) -> Stage:
    if _is_of_socks(error) or _is_of_proxy(error, attempt):
        return "proxy"
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "dns"
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            return "tls"
        case aiohttp.ClientConnectorError(os_error=ConnectionResetError()):  # after TCP's own handshake
            return "tls"
        case aiohttp.ClientConnectorError():
            return "tcp"
        case _:
            return "handshake"


def _is_of_proxy(error: Exception, attempt: _Attempt) -> bool:
    """Tell whether it was the proxy that could not be reached, or gave no tunnel, and not the server behind it."""
    proxy = attempt.proxy
    if proxy is None or not attempt.connecting:
        return False
    if isinstance(error, aiohttp.ClientConnectorError):
        return (error.host, error.port) == (proxy.host, proxy.port)
    return not isinstance(error, aiohttp.ClientSSLError)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read the header: seconds, or a date (RFC 9110, section 10.2.3)."""
    value = headers.get(hdrs.RETRY_AFTER, "").strip()
    if value.isdecimal():
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
        return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - time.time())
    except (TypeError, ValueError, ArithmeticError):  # a year of eight digits, say
        return None
