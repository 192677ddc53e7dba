"""Keep the secrets of URLs out of logs and errors: passwords, and tokens in queries."""

from __future__ import annotations

import re
from typing import Any, Final, cast

from aiohttp import ClientConnectorError, ClientResponseError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from rxws.errors import members

_URL: Final = re.compile(
    r"\b([a-z][a-z0-9+.-]*://)(?:[^\s/?#'\"<>]*@)?([^\s?#'\"<>]*)(?:[?#][^\s'\"<>]*)?", re.IGNORECASE
)

_USER: Final = re.compile(r"^((?:[a-z][a-z0-9+.-]*:)?/{1,2})?[^/]*@", re.IGNORECASE)
"""What may be a password before the host, even if the scheme or its slashes are missing."""

LEAST_SECRET: Final = 8
"""Characters from which on a value in a query is hidden wherever it appears. Shorter ones may be ordinary words."""


def without_secrets(url: object) -> str:
    """Return a URL, or a wrong URL that a user gave, without its password, query and fragment.

    >>> without_secrets("wss://ada:secret@example.com/feed?token=secret")
    'wss://example.com/feed'
    >>> without_secrets("ada:secret@example.com/feed")
    'example.com/feed'
    """
    text = str(url)
    try:
        URL(text)
    except ValueError:  # a '/', '?' or '#' may be part of the password
        text = re.sub(r"^(.*?//)?.*@", r"\1", text, flags=re.DOTALL)
    return _USER.sub(r"\1", re.split(r"[?#]", text, maxsplit=1)[0])


class Secrets:
    """The secrets in the URLs of one attempt to connect, to be hidden in texts from libraries and from the peer."""

    def __init__(self) -> None:
        self._texts: set[str] = set()

    def add(self, url: object) -> None:
        """Add the secrets of a URL."""
        if isinstance(url, (str, URL)):
            parts = URL(url)
            raw = [pair.partition("=")[2] for pair in parts.raw_query_string.split("&")]
            values = {value for value in (*raw, *parts.query.values()) if len(value) >= LEAST_SECRET}
            known = {parts.raw_query_string, parts.query_string, parts.raw_password, parts.password}
            self._texts |= {text for text in known if text} | values | {repr(value)[1:-1] for value in values}

    def hide(self, text: str) -> str:
        """Return a text without the secrets, and without the queries and passwords of all other URLs in it."""
        for secret in sorted(self._texts, key=len, reverse=True):
            text = text.replace(secret, "…")
        return _URL.sub(r"\1\2", text)

    def clean(self, error: BaseException) -> BaseException | None:
        """Remove the secrets from a library's error and its causes; return it, or `None` if any secret remains."""
        chain: list[BaseException] = []
        left: list[BaseException | None] = [error]
        while left:
            one = left.pop()
            if one is None or one in chain:
                continue
            chain.append(one)
            left += (one.__context__ if one.__cause__ is None else one.__cause__, *members(one))
            if isinstance(one, ClientResponseError):
                _clean_response(one)
            elif isinstance(one, ClientConnectorError):
                one.args = (str(one),)  # the `ConnectionKey` has the proxy's password
            else:
                one.args = tuple(self.hide(arg) if isinstance(arg, str) else arg for arg in one.args)
        return None if any(self.hide(str(one)) != str(one) for one in chain) else error


def _clean_response(error: ClientResponseError) -> None:
    """Remove the request's headers from an aiohttp error, and the secrets of its URL."""
    info = error.request_info
    url = URL(without_secrets(info.real_url))
    headers = CIMultiDictProxy(CIMultiDict[str]())
    error.request_info = cast("Any", type(info))(url, info.method, headers, url)
    error.history = ()
    error.args = (error.request_info, error.history)
