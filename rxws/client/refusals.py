"""Errors of attempts to connect: in words, with the stage that failed, and with what to do."""

from __future__ import annotations

import email.utils
import errno
import time
from collections.abc import Mapping
from datetime import UTC
from ssl import SSLError
from types import MappingProxyType
from typing import Any, Final

import aiohttp
from aiohttp import WSServerHandshakeError, hdrs

from rxws.client.attempt import Attempt
from rxws.client.secrets import without_secrets
from rxws.errors import NO_HEADERS, ConnectError, Stage, leaves

SOCKS: Final = ("aiohttp_socks", "python_socks")
"""The packages whose errors come from a SOCKS proxy."""

TRUST: Final = "to trust it or its authority, pass ssl=ssl.create_default_context(cafile=...), or --ca in the shell"

STRICT: Final = (
    "Python 3.13 and later want this of certificates: make a new one, or clear ssl.VERIFY_X509_STRICT in the"
    " verify_flags of an SSLContext, and pass ssl=context"
)

CERTIFICATES: Final[Mapping[int, str]] = MappingProxyType(
    {
        9: "is this machine's clock right?",
        10: "the server needs a new one",
        **dict.fromkeys((18, 19, 20, 21), TRUST),
        62: "connect to a name that the certificate has",
        64: "connect to an address or a name that the certificate has",
        **dict.fromkeys(range(80, 94), STRICT),
    }
)
"""What to do about a certificate that is not valid, by OpenSSL's code for the reason (X509_V_ERR)."""

SSL_REASONS: Final = MappingProxyType(
    {
        "WRONG_VERSION_NUMBER": "the server does not speak TLS on this port: use a ws:// URL, or the port for wss://",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server asks for a certificate of the client: load it into an"
        " ssl.SSLContext with load_cert_chain, and pass ssl=context",
    }
)
"""What to do about a TLS error, by OpenSSL's name for the reason."""


def refusal(error: Exception, attempt: Attempt) -> ConnectError:
    """Turn an aiohttp error into the `ConnectError` that the client raises, without secrets."""
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
    message = hide(_describe(error, attempt)) or type(error).__name__
    return ConnectError(message, _stage(error, attempt))


def _describe(error: Exception, attempt: Attempt) -> str:
    """Say what failed below HTTP, and what to do. The texts of aiohttp's own errors show its objects instead."""
    match error:
        case aiohttp.ServerFingerprintMismatch():
            digests = f"{error.got.hex()}, not {error.expected.hex()}"
            return f"the certificate of {error.host}:{error.port} has the fingerprint {digests}"
        case aiohttp.ClientConnectorError():
            host = f"[{error.host}]" if ":" in error.host else error.host
            path: str | None = getattr(error, "path", None)  # for a UNIX socket
            return f"cannot connect to {path or f'{host}:{error.port}'}: {_reason(error)}"
        case aiohttp.ServerDisconnectedError(message="Server disconnected"):
            hint = "" if attempt.encrypted else "; if it speaks TLS on this port, use a wss:// URL"
            return f"the server closed the connection without an answer{hint}"
        case _:
            return f"{error}{_after_colon(_hint(error.__cause__))}"


def _reason(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why: Any = error.certificate_error  # has no OpenSSL attributes if a library made it
        text: str = getattr(why, "verify_message", None) or str(why)
        return text.rstrip(".") + _after_colon(CERTIFICATES.get(getattr(why, "verify_code", 0)))
    cause = error.os_error
    if isinstance(cause, ConnectionResetError):
        return "the connection broke during the handshake of TLS"
    hint = "is the server running?" if cause.errno == errno.ECONNREFUSED else _hint(cause)
    return f"{cause.strerror or cause}{_after_colon(hint)}"


def _hint(error: BaseException | None) -> str | None:
    return SSL_REASONS.get(error.reason) if isinstance(error, SSLError) else None


def _after_colon(hint: str | None) -> str:
    return "" if hint is None else f": {hint}"


def refusal_of_function(error: Exception, message: str, stage: Stage) -> ConnectError:
    """Make a `ConnectError` from an error of the user's function for a URL, headers or a greeting.

    If that function got an HTTP error, for example from a server for tokens, the result has its status and headers.
    """
    answers = (one for one in leaves(error) if isinstance(one, aiohttp.ClientResponseError) and one.status)
    if (answer := next(answers, None)) is None:
        return ConnectError(message, stage)
    headers = answer.headers or NO_HEADERS
    return ConnectError(message, stage, status=answer.status, headers=headers, retry_after=_retry_after(headers))


def _stage(error: Exception, attempt: Attempt) -> Stage:
    if is_socks_error(error) or _is_proxy_error(error, attempt):
        return "proxy"
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "dns"
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            return "tls"
        case aiohttp.ClientConnectorError(os_error=ConnectionResetError()):  # TCP was connected before
            return "tls"
        case aiohttp.ClientConnectorError():
            return "tcp"
        case aiohttp.ClientOSError(__cause__=SSLError()):  # with TLS 1.3, after the client's handshake
            return "tls"
        case _:
            return "handshake"


def _is_proxy_error(error: Exception, attempt: Attempt) -> bool:
    """Return whether the proxy could not be reached, or refused the tunnel. If not, the server behind it failed."""
    proxy = attempt.proxy
    if proxy is None or not attempt.connecting:
        return False
    if isinstance(error, aiohttp.ClientConnectorError):
        return (error.host, error.port) == (proxy.host, proxy.port)
    return not isinstance(error, aiohttp.ClientSSLError)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait that `Retry-After` gives as a number or a date (RFC 9110, section 10.2.3)."""
    value = headers.get(hdrs.RETRY_AFTER, "").strip()
    if value.isdecimal():
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
        return max(0.0, date.replace(tzinfo=date.tzinfo or UTC).timestamp() - time.time())
    except (TypeError, ValueError, ArithmeticError):  # a year with eight digits, for example
        return None


def queue_hint(attempt: Attempt) -> str:
    """Return the end of an error message if the attempt timed out in the connector's queue; else an empty string."""
    connector = None if attempt.queued is None else attempt.queued.connector
    if connector is None:
        return ""
    limits = f"limit={connector.limit}, limit_per_host={connector.limit_per_host}"
    return f": all connections of the session's connector are in use ({limits})"


def proxy_hint(attempt: Attempt) -> str:
    """Return words about the proxy if the attempt timed out there, or in TLS behind it; else an empty string."""
    if attempt.proxy is None or not attempt.connecting:
        return ""
    return f" through the proxy {without_secrets(attempt.proxy)}"


def is_socks_error(error: Exception) -> bool:
    """Return whether an error comes from a library for SOCKS proxies."""
    return type(error).__module__.partition(".")[0] in SOCKS
