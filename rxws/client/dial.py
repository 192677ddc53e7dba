"""Opens a connection to a URL with aiohttp's client. Errors say what has refused it: proxy, TLS, server."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, cast

import aiohttp
from aiohttp import ClientSession, hdrs
from multidict import CIMultiDict
from yarl import URL

from rxws.client.attempt import Attempt, watching
from rxws.client.reconnect import Dialed
from rxws.client.refusals import is_socks_error, proxy_hint, queue_hint, refusal, refusal_of_function
from rxws.client.secrets import without_secrets
from rxws.client.targets import Proxy, Trust, check_headers, check_tls, check_url, proxy_of_environment
from rxws.errors import ConnectError, leaves
from rxws.options import Settings
from rxws.rx.foreign import is_own_cancellation
from rxws.wires.aiohttp import (
    SECURE,
    Asking,
    Tunneling,
    abandon,
    base_of,
    frame_limit,
    keep_from_closing,
    open_wire,
)
from rxws.wires.deflate import make_deflation, wire_limit
from rxws.wires.negotiation import Agreement, check_answer, offer_deflate

T = TypeVar("T")
ValueOrFunction = T | Callable[[], T] | Callable[[], Awaitable[T]]
"""A value, or a function or coroutine function that makes one for every attempt."""

Headers = Mapping[str, str]


class Dialer:
    """Opens connections to one URL, each with its own wire."""

    def __init__(
        self,
        url: ValueOrFunction[str | URL],
        settings: Settings,
        *,
        session: ClientSession | None = None,
        headers: ValueOrFunction[Headers] | None = None,
        ssl: Trust = True,
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
        """Open a connection within `open_timeout`; raises `ConnectError`.

        An error of the user's function for the URL or headers is not wrapped, unless it is an aiohttp error.
        """
        attempt = Attempt()
        limit = asyncio.timeout(self._open_timeout)
        try:
            async with limit:
                return await self._open(attempt)
        except TimeoutError as error:
            within = f"within {self._open_timeout:g} s" if limit.expired() else "within the timeout of the session"
            message = f"no connection {within}{proxy_hint(attempt)}{queue_hint(attempt)}"
            raise ConnectError(message, "timeout") from attempt.secrets.clean(error)
        except (aiohttp.ClientError, OSError) as error:
            raise refusal(error, attempt) from attempt.secrets.clean(error)
        except Exception as error:
            if not is_socks_error(error):
                raise
            raise refusal(error, attempt) from attempt.secrets.clean(error)
        except asyncio.CancelledError as error:
            if is_own_cancellation(error):
                raise
            raise ConnectError("what the attempt waited for was cancelled", "handshake") from error
        finally:
            del limit  # it refers to the task, which may keep the error, whose traceback has this frame

    async def close(self) -> None:
        """Close the tunnels, and the session unless it is shared."""
        if self._tunneling is not None:
            await self._tunneling.close()
        if self._own is not None:
            await self._own.close()

    async def _open(self, attempt: Attempt) -> Dialed:
        try:
            url = await _resolve(self._url)
            headers = None if self._headers is None else await _resolve(self._headers)
        except Exception as error:
            if not all(isinstance(one, (aiohttp.ClientError, OSError)) for one in leaves(error)):
                raise
            message = (
                f"the URL or headers could not be made: {attempt.secrets.hide(str(error)) or type(error).__name__}"
            )
            raise refusal_of_function(error, message, "request") from attempt.secrets.clean(error)
        except asyncio.CancelledError as error:
            if is_own_cancellation(error):
                raise
            raise ConnectError(
                "the URL or headers could not be made: what they await was cancelled", "request"
            ) from error
        session = self._shared or self._session()
        checked = check_url(url, base_of(session))
        check_headers(headers)
        check_tls(checked, self._ssl)
        attempt.secrets.add(checked)
        attempt.encrypted = checked.scheme in SECURE
        proxy = proxy_of_environment(checked) if isinstance(self._proxy, bool) else self._proxy
        attempt.secrets.add(proxy)
        attempt.proxy = None if proxy is None else URL(proxy)
        settings = self._settings
        asked = session if proxy is None or attempt.encrypted else self._tunnels(session)
        offer = offer_deflate(settings.compress)
        limit = settings.max_msg_size
        max_frame = frame_limit(limit if offer is None else wire_limit(limit))
        with watching(session, attempt):
            ws = await Asking(asked, attempt.take_answer).connect(
                URL(url),  # may be relative to the session's `base_url`
                headers=headers if offer is None else _with_offer(headers, offer),
                protocols=settings.protocols,
                timeout=_ws_timeout(settings.close_timeout),
                max_msg_size=max_frame,
                autoping=False,
                autoclose=False,
                ssl=self._ssl,
                proxy=proxy,
            )
        response = cast("aiohttp.ClientResponse", attempt.response)
        try:
            protocol, agreed = _agreed(response, settings)
        except ValueError as error:
            abandon(ws)
            message = f"the server's handshake is wrong: {error}"
            raise ConnectError(message, "handshake", status=101, headers=response.headers) from None
        keep_from_closing(ws)
        deflation = None if offer is None else make_deflation(settings.compress, agreed, limit)
        wire = open_wire(ws, settings.close_timeout, limit=max_frame, arrived=attempt.arrived, deflation=deflation)
        return Dialed(wire, protocol, response.headers)

    def _session(self) -> ClientSession:
        if self._own is None:
            self._own = ClientSession(timeout=aiohttp.ClientTimeout(total=None))  # `open_timeout` is the limit
        return self._own

    def _tunnels(self, session: ClientSession) -> Tunneling:
        if self._tunneling is None:
            self._tunneling = Tunneling(session)
        return self._tunneling


async def _resolve(source: Any) -> Any:
    made = source() if callable(source) else source
    return await made if inspect.isawaitable(made) else made


def _ws_timeout(close_timeout: float) -> aiohttp.ClientWSTimeout:
    return cast("Any", aiohttp.ClientWSTimeout)(ws_close=close_timeout)


def _with_offer(headers: Headers | None, offer: str) -> CIMultiDict[str]:
    """Add our offer of compression to the headers: aiohttp's own has other parameters."""
    return CIMultiDict([*(headers or {}).items(), (hdrs.SEC_WEBSOCKET_EXTENSIONS, offer)])


def _agreed(response: aiohttp.ClientResponse, settings: Settings) -> tuple[str | None, Agreement | None]:
    """Return the negotiated subprotocol, and how messages are compressed; `None` for none.

    Raises `ValueError` if the server chose something that was not offered (RFC 6455, section 4.1).
    """
    headers, asked = response.headers, response.request_info.headers
    for name in (hdrs.SEC_WEBSOCKET_ACCEPT, hdrs.SEC_WEBSOCKET_PROTOCOL):
        if len(headers.getall(name, ())) > 1:
            raise ValueError(f"{name} comes more than once")
    extensions = headers.getall(hdrs.SEC_WEBSOCKET_EXTENSIONS, ())
    deflate = check_answer(extensions, settings.compress) if extensions else None
    protocol = headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL)
    offered = [name.strip() for name in asked.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",")]
    if protocol is not None and (not protocol or protocol not in offered):
        raise ValueError(f"the server wants the subprotocol {protocol!r}, which was not offered")
    return protocol, deflate
