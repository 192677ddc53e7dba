"""What went wrong with an attempt to connect, in words and by its stage."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from datetime import UTC
from ssl import SSLError
from typing import Final

import aiohttp
from aiohttp import WSServerHandshakeError, hdrs

from rxws.client.attempt import Attempt
from rxws.client.secrets import without_secrets
from rxws.errors import NO_HEADERS, ConnectError, Stage, leaves

SOCKS: Final = ("aiohttp_socks", "python_socks")
"""The packages whose errors are those of a proxy."""


def refusal(error: Exception, attempt: Attempt) -> ConnectError:
    """Make what a client raises of what aiohttp did."""
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
        message = f"the server answered {status} instead of 101{shown}"
        retry_after = _retry_after(headers)
        return ConnectError(message, "http", status=status, headers=headers, body=text, retry_after=retry_after)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        headers = error.headers or NO_HEADERS
        message = f"the proxy answered {error.status} {hide(error.message)!r}"
        retry_after = _retry_after(headers)
        return ConnectError(message, "proxy", status=error.status, headers=headers, retry_after=retry_after)
    if isinstance(error, aiohttp.TooManyRedirects):
        status = error.history[0].status
        return ConnectError(f"the server answered {status} instead of 101, again and again", "http", status=status)
    if isinstance(error, aiohttp.RedirectClientError):
        return ConnectError(f"the server redirects to a URL that aiohttp does not follow: {hide(str(error))}", "http")
    message = hide(str(error)) or type(error).__name__
    cause = getattr(error, "os_error", None)
    if isinstance(cause, SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
        message += ": the server does not speak TLS on this port: use a ws:// URL, or the port for wss://"
    return ConnectError(message, _stage(error, attempt))


def refusal_elsewhere(error: Exception, message: str, stage: Stage) -> ConnectError:
    """Make an error of what a function raised that asks others for a URL or a token, with the status of the answer."""
    answers = (one for one in leaves(error) if isinstance(one, aiohttp.ClientResponseError) and one.status)
    if (answer := next(answers, None)) is None:
        return ConnectError(message, stage)
    headers = answer.headers or NO_HEADERS
    return ConnectError(message, stage, status=answer.status, headers=headers, retry_after=_retry_after(headers))


def _stage(error: Exception, attempt: Attempt) -> Stage:
    if is_of_socks(error) or _is_of_proxy(error, attempt):
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


def _is_of_proxy(error: Exception, attempt: Attempt) -> bool:
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


def queue(attempt: Attempt) -> str:
    """Tell that an attempt came no further than to the connector's queue."""
    connector = None if attempt.queued is None else attempt.queued.connector
    if connector is None:
        return ""
    limits = f"limit={connector.limit}, limit_per_host={connector.limit_per_host}"
    return f": all connections of the session's connector are in use ({limits})"


def through(attempt: Attempt) -> str:
    """Tell that an attempt came no further than to its proxy, or to TLS behind it."""
    if attempt.proxy is None or not attempt.connecting:
        return ""
    return f" through the proxy {without_secrets(attempt.proxy)}"


def is_of_socks(error: Exception) -> bool:
    """Tell whether an error is one of the libraries that speak SOCKS."""
    return type(error).__module__.partition(".")[0] in SOCKS
