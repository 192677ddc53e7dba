"""Tokens and passwords of URLs stay out of texts and errors."""

from __future__ import annotations

import traceback
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey, RequestInfo
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from rxws.client.secrets import Secrets, without_secrets

WITH_TOKEN = "wss://ada:pass@example.com:1/feed?token=SECRET#top"
TOKENS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=8, max_size=40)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (WITH_TOKEN, "wss://example.com:1/feed"),
        ("ws://example.com/", "ws://example.com/"),
        ("example.com/feed?token=SECRET", "example.com/feed"),
        ("ws://a:b@c:d@example.com", "ws://example.com"),
        ("ws://example.com/@me", "ws://example.com/@me"),
        ("ada:secret@example.com/feed", "example.com/feed"),
        ("ws:ada:secret@example.com", "example.com"),
        ("ws:/ada:secret@example.com/@me", "ws:/example.com/@me"),
        ("ws://ada:sec/ret@example.com/", "ws://example.com/"),
        ("ws://ada:sec?r#et@example.com/feed?token=SECRET", "ws://example.com/feed"),
        ("ws://[", "ws://["),
        (URL("ws://ada:secret@example.com/?a=b"), "ws://example.com/"),
        (12, "12"),
    ],
)
def test_without_secrets(url: object, shown: str) -> None:
    assert without_secrets(url) == shown


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("no secrets", "no secrets"),
        ("cannot GET /feed?token=SECRETIVE&a=b", "cannot GET /feed?…"),
        ("'SECRETIVE' is not known", "'…' is not known"),
        ("see https://other.example/login?next=abc", "see https://other.example/login"),
        ("url='wss://ada:enigma@example.com/feed?token=SECRETIVE&a=b'", "url='wss://example.com/feed'"),
        ("b is short", "b is short"),
    ],
)
def test_hide(text: str, hidden: str) -> None:
    """Known secrets and the queries of any URL are left out of a text."""
    secrets = Secrets()
    secrets.add("wss://ada:enigma@example.com/feed?token=SECRETIVE&a=b")
    secrets.add(None)
    assert secrets.hide(text) == hidden


@given(TOKENS, TOKENS)
def test_hide_any_token(token: str, password: str) -> None:
    """A token or a password is hidden as it was given, and as it stands in the URL."""
    url = URL("ws://example.com/").with_query(token=token).with_user("ada").with_password(password)
    secrets = Secrets()
    secrets.add(url)
    for text in (str(url), url.raw_query_string, url.path_qs, token, password, url.raw_password or ""):
        hidden = secrets.hide(f"<{text}>")
        assert token not in hidden.replace("ws://example.com/", "")
        assert password not in hidden.replace("ws://example.com/", "")


def response_error(kind: Any = aiohttp.WSServerHandshakeError) -> aiohttp.ClientResponseError:
    headers = CIMultiDictProxy(CIMultiDict({"Authorization": "Bearer SECRET"}))
    url = URL(WITH_TOKEN)
    return kind(RequestInfo(url, "GET", headers, url), (), status=401, message="no")


def connector_error() -> Exception:
    key = ConnectionKey("example.com", 1, True, True, URL("http://ada:SECRET@proxy"), None, None)
    return aiohttp.ClientProxyConnectionError(key, OSError(1, "refused"))


def nested() -> Exception:
    try:
        try:
            raise response_error()
        except aiohttp.ClientError as error:
            raise aiohttp.ClientError(f"cannot get {WITH_TOKEN}") from error
    except aiohttp.ClientError as error:
        return error


def in_context() -> Exception:
    try:
        try:
            raise response_error()
        finally:
            raise aiohttp.ClientError("no")
    except aiohttp.ClientError as error:
        return error


def in_a_circle() -> Exception:
    one, two = aiohttp.ClientError(WITH_TOKEN), aiohttp.ClientError("two")
    one.__cause__, two.__cause__ = two, one
    return one


def test_clean_a_group() -> None:
    """The errors of a group are cleaned, with their causes; a group that tells a secret itself has to go."""
    secrets = Secrets()
    secrets.add(WITH_TOKEN)
    inner = aiohttp.ClientError(WITH_TOKEN)
    inner.__cause__ = aiohttp.ClientError(WITH_TOKEN)
    group = ExceptionGroup("tasks", [TimeoutError(WITH_TOKEN), ExceptionGroup("more", [inner])])
    assert secrets.clean(group) is group
    assert "SECRET" not in "".join(traceback.format_exception(group))
    assert secrets.clean(ExceptionGroup(WITH_TOKEN, [OSError()])) is None


@pytest.mark.parametrize(
    "error",
    [
        response_error(),
        response_error(aiohttp.ClientHttpProxyError),
        connector_error(),
        TimeoutError(f"Connection timeout to host {WITH_TOKEN}"),
        OSError(1, "refused"),
        nested(),
        in_context(),
        in_a_circle(),
    ],
    ids=["handshake", "proxy", "connector", "timeout", "os", "nested", "context", "circle"],
)
def test_clean(error: Exception) -> None:
    """A library's error stays what it is, but for the secrets in it and its causes."""
    secrets = Secrets()
    secrets.add(WITH_TOKEN)
    assert secrets.clean(error) is error
    one: BaseException | None = error
    for _ in range(3):
        if one is not None:
            assert "SECRET" not in f"{one} {one!r}"
            one = one.__cause__ or one.__context__


def test_clean_gives_up() -> None:
    """An error that tells a secret whatever is done has to go."""

    class Stubborn(aiohttp.ClientError):
        def __str__(self) -> str:
            return WITH_TOKEN

    secrets = Secrets()
    assert secrets.clean(Stubborn()) is None
    outer = aiohttp.ClientError("outer")
    outer.__cause__ = Stubborn()
    assert secrets.clean(outer) is None
