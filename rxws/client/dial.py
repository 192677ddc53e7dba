"""From a URL to an open connection, over aiohttp's client; what refuses is told apart."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import inspect
import ssl as tls
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from datetime import UTC
from types import SimpleNamespace
from typing import Any, Final, TypeVar, cast

import aiohttp
from aiohttp import (
    ClientSession,
    ClientWebSocketResponse,
    TraceConfig,
    TraceRequestEndParams,
    TraceRequestRedirectParams,
    WSServerHandshakeError,
    hdrs,
)
from multidict import CIMultiDictProxy
from yarl import URL

from rxws.client.secrets import Secrets, without_secrets
from rxws.core.wire import Wire
from rxws.errors import ConnectError, Stage, leaves
from rxws.options import Settings
from rxws.rx.foreign import cancelled
from rxws.wires.aiohttp import abandon, arrived_with, frame_limit, keep_from_closing, open_wire
from rxws.wires.negotiation import check_answer

T = TypeVar("T")
ValueOrFunction = T | Callable[[], T] | Callable[[], Awaitable[T]]
"""A value, or a function or coroutine function that makes one for every attempt."""

Headers = Mapping[str, str]

SECURE: Final = ("https", "wss")

BODY: Final = 1024
"""Bytes of a refusal's body that are read."""

BODY_TIMEOUT: Final = 1.0
"""Seconds that reading them may take."""


OURS: Final = ("Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Extensions")
"""Headers of the handshake that nobody else may set: they have to fit one another (RFC 6455, section 4.1)."""


class _Answer:
    """What aiohttp drops of the answer to a handshake: the body of a refusal; what frames came with an upgrade."""

    def __init__(self) -> None:
        self.secrets = Secrets()
        self.body = b""
        self.arrived: bytes | None = None
        self.response: aiohttp.ClientResponse | None = None
        """The upgrade."""


_answer = ContextVar[_Answer | None]("rxws_answer", default=None)


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
        proxy: str | URL | None = None,
        open_timeout: float = 10.0,
    ) -> None:
        self._url = url
        self._headers = headers
        self._settings = settings
        self._shared = session
        self._own: ClientSession | None = None
        self._ssl = ssl
        self._proxy = proxy
        self._open_timeout = open_timeout

    @property
    def target(self) -> str | None:
        """The URL, without query and password; `None` if it is made for every attempt."""
        if callable(self._url):
            return None
        return without_secrets(check_url(self._url))

    async def dial(self) -> tuple[Wire, str | None]:
        """Open a connection, and return its wire and the subprotocol; raises `ConnectError`.

        What a function that makes the URL or headers raises is raised on, unless it is an error of aiohttp's.
        """
        answer = _Answer()
        token = _answer.set(answer)
        limit = asyncio.timeout(self._open_timeout)
        try:
            async with limit:
                return await self._open(answer)
        except TimeoutError as error:
            within = f"within {self._open_timeout:g} s" if limit.expired() else "in the time that the session gives"
            raise ConnectError(f"no connection {within}", "timeout") from answer.secrets.clean(error)
        except (aiohttp.ClientError, OSError) as error:
            raise _refusal(error, answer) from answer.secrets.clean(error)
        finally:
            _answer.reset(token)

    async def close(self) -> None:
        """Close the session, if it is not shared."""
        if self._own is not None:
            await self._own.close()

    async def _open(self, answer: _Answer) -> tuple[Wire, str | None]:
        try:
            url = await _resolve(self._url)
            headers = None if self._headers is None else await _resolve(self._headers)
        except Exception as error:
            if not all(isinstance(one, (aiohttp.ClientError, OSError)) for one in leaves(error)):
                raise
            message = f"the URL or headers could not be made: {answer.secrets.hide(str(error))}"
            raise ConnectError(message, "request") from answer.secrets.clean(error)
        except asyncio.CancelledError as error:
            if cancelled(error):
                raise
            raise ConnectError(
                "the URL or headers could not be made: what they await was cancelled", "request"
            ) from error
        checked = check_url(url)
        check_headers(headers)
        answer.secrets.add(checked)
        answer.secrets.add(self._proxy)
        settings = self._settings
        session = self._shared or self._session()
        with _noting_answers(session):
            ws: ClientWebSocketResponse = await session.ws_connect(
                checked,
                headers=headers,
                protocols=settings.protocols,
                timeout=_ws_timeout(settings.close_timeout),
                compress=15 if settings.compress else 0,
                max_msg_size=frame_limit(settings.max_msg_size),
                autoping=False,
                autoclose=False,
                ssl=self._ssl,
                proxy=self._proxy,
            )
        try:
            protocol = _agreed(answer.response, deflate=settings.compress)
        except ValueError as error:
            abandon(ws)
            raise ConnectError(f"the server's handshake is wrong: {error}", "handshake", status=101) from None
        keep_from_closing(ws)
        limit = frame_limit(settings.max_msg_size)
        return open_wire(ws, settings.close_timeout, limit=limit, arrived=answer.arrived), protocol

    def _session(self) -> ClientSession:
        if self._own is None:
            self._own = ClientSession(timeout=aiohttp.ClientTimeout(total=None))  # `open_timeout` bounds all of it
        return self._own


def check_url(url: object) -> URL:
    """Return a URL that a WebSocket can have (RFC 6455, section 3); raises `TypeError` or `ValueError`.

    >>> check_url("example.com/feed")
    Traceback (most recent call last):
        ...
    ValueError: 'example.com/feed' is no WebSocket URL: expected ws://host/path or wss://host/path
    """
    if not isinstance(url, (str, URL)):
        raise TypeError(f"a URL is a str or a yarl.URL, not {url!r}")
    checked = URL(url)
    shown = without_secrets(url)
    if checked.scheme not in ("ws", "wss", "http", "https") or not checked.host:
        raise ValueError(f"{shown!r} is no WebSocket URL: expected ws://host/path or wss://host/path")
    if checked.raw_fragment:
        raise ValueError(f"the URL of a WebSocket has no fragment: leave out what follows '#' in {shown!r}")
    return checked


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


@contextlib.contextmanager
def _noting_answers(session: ClientSession) -> Any:
    """Note what comes with an upgrade, or in its place: aiohttp drops it, but lets tracers see it."""

    async def note(_: ClientSession, __: SimpleNamespace, params: TraceRequestEndParams) -> None:
        answer, response = _answer.get(), params.response
        if answer is None:
            return
        if response.status == 101:
            answer.arrived, answer.response = arrived_with(response), response
            return
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(BODY_TIMEOUT):
                while chunk := await response.content.read(BODY - len(answer.body)):
                    answer.body += chunk

    async def refuse(_: ClientSession, __: SimpleNamespace, params: TraceRequestRedirectParams) -> None:
        response = params.response
        try:
            target = response.url.join(URL(response.headers.get(hdrs.LOCATION, "")))
        except ValueError:  # which is aiohttp's to say
            return
        if _answer.get() is not None and response.url.scheme in SECURE and target.scheme not in SECURE:
            response.close()
            message = f"the server redirects to {without_secrets(target)}, which is not encrypted"
            raise ConnectError(message, "http", status=response.status)

    tracer = TraceConfig()
    tracer.on_request_end.append(note)
    tracer.on_request_redirect.append(refuse)
    tracer.freeze()
    session.trace_configs.append(tracer)
    try:
        yield
    finally:
        session.trace_configs.remove(tracer)


def _agreed(response: aiohttp.ClientResponse | None, *, deflate: bool) -> str | None:
    """Return the subprotocol of an upgrade; raises `ValueError` for what was not asked for (RFC 6455, section 4.1)."""
    if response is None:
        raise ValueError("there is none")
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


def _refusal(error: Exception, answer: _Answer) -> ConnectError:
    if isinstance(error, ConnectError):
        return error
    hide, text = answer.secrets.hide, answer.body.decode(errors="replace")
    if isinstance(error, WSServerHandshakeError):
        if error.status == 101:
            return ConnectError(f"the server's handshake is wrong: {hide(error.message)}", "handshake", status=101)
        shown = f": {hide(text.strip())[:200]!r}" if text.strip() else ""
        message = f"the server answered {error.status} in place of 101{shown}"
        return ConnectError(message, "http", status=error.status, body=text, retry_after=_retry_after(error.headers))
    if isinstance(error, aiohttp.ClientHttpProxyError):
        retry_after = _retry_after(error.headers)
        message = f"the proxy answered {error.status} {error.message!r}"
        return ConnectError(message, "proxy", status=error.status, retry_after=retry_after)
    if isinstance(error, aiohttp.TooManyRedirects):
        status = error.history[0].status
        return ConnectError(f"the server answered {status} in place of 101, again and again", "http", status=status)
    return ConnectError(hide(str(error)) or type(error).__name__, _stage(error))


def _stage(error: Exception) -> Stage:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "dns"
        case aiohttp.ClientProxyConnectionError():
            return "proxy"
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            return "tls"
        case aiohttp.ClientConnectorError(os_error=ConnectionResetError()):  # after TCP's own handshake
            return "tls"
        case aiohttp.ClientConnectorError():
            return "tcp"
        case _:
            return "handshake"


def _retry_after(headers: Mapping[str, str] | CIMultiDictProxy[str] | None) -> float | None:
    """Read the header: seconds, or a date (RFC 9110, section 10.2.3)."""
    value = (headers or {}).get(hdrs.RETRY_AFTER, "").strip()
    if value.isdecimal():
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - time.time())
