"""Checks of a client's URL, TLS, proxy and headers: errors come before any attempt to connect."""

from __future__ import annotations

import ssl as tls
from collections.abc import Mapping
from typing import Final, Literal, cast
from urllib.request import getproxies, proxy_bypass

from aiohttp import Fingerprint
from yarl import URL

from rxws.client.secrets import without_secrets
from rxws.wires.aiohttp import SECURE

Proxy = str | URL | Literal[True] | None
"""The URL of a proxy, or `True` for the one that the environment names."""

Trust = tls.SSLContext | Fingerprint | bool
"""Which certificates a client accepts, like aiohttp's `ssl`; `True` for those that this machine trusts."""

HANDSHAKE_HEADERS: Final = (
    "Connection",
    "Upgrade",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Extensions",
)
"""Headers of the handshake that users may not set: they must fit each other (RFC 6455, section 4.1)."""


def check_url(url: object, base: URL | None = None) -> URL:
    """Return the URL, joined to `base`; raises `TypeError` or `ValueError` for no WebSocket URL (RFC 6455, section 3).

    >>> check_url("example.com/feed")
    Traceback (most recent call last):
        ...
    ValueError: 'example.com/feed' is not a WebSocket URL: expected ws://host/path or wss://host/path
    """
    if not isinstance(url, (str, URL)):
        raise TypeError(f"a URL is a str or a yarl.URL, not {type(url).__name__}")  # its value may hold a token
    shown = without_secrets(url)
    try:
        checked = URL(url) if base is None else base.join(URL(url))
        host = checked.host  # decoded here: may raise
    except ValueError:  # its text may show the password
        hint = ", or the password has characters that must be percent-encoded" if "@" in str(url) else ""
        raise ValueError(f"{shown!r} is not a WebSocket URL: its host or port is not valid{hint}") from None
    if checked.scheme not in ("ws", "wss", "http", "https") or not host:
        raise ValueError(f"{shown!r} is not a WebSocket URL: expected ws://host/path or wss://host/path")
    if checked.raw_fragment:
        raise ValueError(f"the URL of a WebSocket has no fragment: leave out what follows '#' in {shown!r}")
    if not is_name(checked.raw_host or ""):
        raise ValueError(f"the host of {shown!r} is not a name: each part between dots needs 1 to 63 characters")
    return checked


def is_name(host: str) -> bool:
    """Return whether a host can be looked up: for others, `socket.getaddrinfo` raises `UnicodeError`.

    RFC 1035, section 2.3.4, has the limits.
    """
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def check_trust(ssl: object) -> None:
    """Raise `TypeError` or `ValueError` for a TLS setting that no client can have.

    >>> check_trust("ca.pem")
    Traceback (most recent call last):
        ...
    TypeError: ssl must be an SSLContext or a bool, not 'ca.pem': make one with ssl.create_default_context(cafile=...)
    """
    if not isinstance(ssl, (tls.SSLContext, Fingerprint, bool, type(None))):
        example = "ssl.create_default_context(cafile=...)"
        raise TypeError(f"ssl must be an SSLContext or a bool, not {ssl!r}: make one with {example}")
    if isinstance(ssl, tls.SSLContext) and ssl.protocol is tls.PROTOCOL_TLS_SERVER:
        raise ValueError("ssl is a server's context: a client's is made with ssl.create_default_context()")


def check_tls(url: URL, ssl: Trust) -> None:
    """Raise `ValueError` for a TLS setting with a URL that does not use TLS."""
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
        host = url.host  # decoded here: may raise
    except ValueError:
        url, host = URL(), None
    if url.scheme.startswith("socks"):
        hint = "connect(url, session=ClientSession(connector=...)) with the connector of aiohttp-socks"
        raise ValueError(f"aiohttp does not support SOCKS: for {shown!r} use {hint}")
    if url.scheme not in ("http", "https") or not host or not is_name(url.raw_host or ""):
        raise ValueError(f"{shown!r} is not a proxy's URL: expected http://host:port")


def proxy_of_environment(url: URL) -> URL | None:
    """Return the proxy that the environment names for a URL; `None` for none. Raises `ValueError` for a wrong one.

    For `wss` that is `WSS_PROXY`, else `HTTPS_PROXY`. For `ws` it is `WS_PROXY`, else `HTTPS_PROXY`, else `HTTP_PROXY`:
    a proxy that makes tunnels comes first (RFC 6455, section 4.1). `ALL_PROXY` comes last. Hosts in `NO_PROXY` need
    none. Names in lowercase come first. On Windows and macOS, the system's settings count if none of these is set.
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


def check_headers(headers: object) -> None:
    """Raise `TypeError` if these are not headers, or `ValueError` for headers that belong to the handshake.

    Values may be secret, so errors do not show them.
    """
    if headers is None:
        return
    if not isinstance(headers, Mapping):
        given = type(headers).__name__
        raise TypeError(f"headers must be a mapping of names to values, or a function that makes one, not a {given}")
    ours = {name.lower(): name for name in HANDSHAKE_HEADERS}
    for name, value in cast("Mapping[object, object]", headers).items():
        if not isinstance(name, str):
            raise TypeError(f"the name of a header must be a str, not a {type(name).__name__}")
        if not isinstance(value, str):
            raise TypeError(f"the value of the header {name!r} must be a str, not a {type(value).__name__}")
        if name.lower() in ours:
            raise ValueError(f"headers must not hold {ours[name.lower()]}: it belongs to the handshake")
