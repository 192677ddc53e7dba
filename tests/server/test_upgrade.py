import pytest

from rxws.wires.negotiation import admits

CASES = [
    (None, "example.com", (), True),
    ("https://example.com", "example.com", (), True),
    ("https://EXAMPLE.com", "example.COM", (), True),
    ("https://example.com", "example.com:443", (), True),
    ("http://example.com:80", "example.com", (), True),
    ("http://localhost:8080", "localhost:8080", (), True),
    ("http://[::1]:8080", "[::1]:8080", (), True),
    ("http://localhost:8081", "localhost:8080", (), False),
    ("https://evil.example", "example.com", (), False),
    ("https://example.com.evil.example", "example.com", (), False),
    ("https://evil.example", "example.com", None, True),
    ("https://app.example", "example.com", ("https://app.example",), True),
    ("https://app.example:443", "example.com", ("https://app.example",), True),
    ("http://app.example", "example.com", ("https://app.example",), False),
    ("null", "example.com", (), False),
    ("null", "null", (), False),
    ("https", "https", (), False),
    ("app://example.com", "example.com", (), False),
    ("app://example.com", "example.com", ("app://example.com",), True),
    ("null", "example.com", ("null",), True),
    ("", "", (), False),
]


OVER_TLS = [
    (None, "example.com", (), True),
    ("https://example.com", "example.com", (), True),
    ("https://example.com:443", "EXAMPLE.com", (), True),
    ("HTTPS://localhost:8443", "localhost:8443", (), True),
    ("http://example.com", "example.com", (), False),
    ("http://example.com:443", "example.com", (), False),
    ("http://localhost:8443", "localhost:8443", (), False),
    ("http://example.com", "example.com", ("http://example.com",), True),
    ("http://example.com", "example.com", None, True),
]


@pytest.mark.parametrize(("origin", "host", "allowed", "admitted"), OVER_TLS)
def test_origins_over_tls(origin: str | None, host: str, allowed: tuple[str, ...] | None, admitted: bool) -> None:
    """Over TLS the host's own pages are those that came over TLS."""
    assert admits(origin, host, allowed, secure=True) is admitted


@pytest.mark.parametrize(("origin", "host", "allowed", "admitted"), CASES)
def test_origins(origin: str | None, host: str, allowed: tuple[str, ...] | None, admitted: bool) -> None:
    """The host's own pages and those listed may connect."""
    assert admits(origin, host, allowed) is admitted
