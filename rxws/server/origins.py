"""Which pages a browser may connect from (RFC 6455, section 10.2)."""

from __future__ import annotations

_DEFAULT_PORTS = {"http": ":80", "https": ":443", "ws": ":80", "wss": ":443"}


def admits(origin: str | None, host: str, allowed: tuple[str, ...] | None) -> bool:
    """Tell whether a request with this `Origin` header may become a socket of `host`.

    Browsers always send an `Origin`, and other pages can send their users' cookies; programs send none.

    >>> admits("https://example.com", "example.com", ())
    True
    >>> admits("https://evil.example", "example.com", ())
    False
    >>> admits("https://app.example", "example.com", ("https://app.example",))
    True
    """
    if origin is None or allowed is None:
        return True
    origin = origin.lower()
    scheme, found, netloc = origin.partition("://")
    port = _DEFAULT_PORTS.get(scheme, "")
    same = bool(found) and netloc.removesuffix(port) == host.lower().removesuffix(port)
    return same or origin.removesuffix(port) in {item.removesuffix(port) for item in allowed}
