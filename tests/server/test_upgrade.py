import pytest

from rxws.server.upgrade import admits

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
    ("null", "example.com", ("null",), True),
    ("", "", (), False),
]


@pytest.mark.parametrize(("origin", "host", "allowed", "admitted"), CASES)
def test_origins(origin: str | None, host: str, allowed: tuple[str, ...] | None, admitted: bool) -> None:
    """The host's own pages and those listed may connect."""
    assert admits(origin, host, allowed) is admitted
