"""No token of a URL reaches a log, or the text of an error and its causes, wherever connecting fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import ssl
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

import rxws
from tests.conformance.peers import answering, upgrade
from tests.integration.server import running
from tests.streams import ended

TOKEN, PASSWORD = "t0ken-%C3%A9-of-ada", "p4ssword-of-ada"
SECRET = re.compile(r"t0ken|p4ssword|of-ada|%C3|é")
Case = Callable[[], AbstractAsyncContextManager[dict[str, Any]]]
"""What `connect` is given, so that it fails."""


def secret(url: str) -> str:
    """Put a token and a password into a URL."""
    return str(URL(url).with_user("ada").with_password(PASSWORD).update_query(f"token={TOKEN}"))


@asynccontextmanager
async def nothing(url: str, **options: Any) -> AsyncIterator[dict[str, Any]]:
    yield {"url": secret(url), **options}


@asynccontextmanager
async def answered(answer: Callable[[bytes], str]) -> AsyncIterator[dict[str, Any]]:
    async with answering(answer) as server:
        yield {"url": secret(server.url)}


@asynccontextmanager
async def told(handler: Any, scheme: str = "ws") -> AsyncIterator[dict[str, Any]]:
    app = web.Application()
    app.router.add_get("/", handler)
    async with running(app) as server:
        yield {"url": secret(server.url.replace("ws:", f"{scheme}:"))}


@asynccontextmanager
async def bad_certificate() -> AsyncIterator[dict[str, Any]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    async with answering(ssl=context) as server:
        yield {"url": secret(server.url)}


@asynccontextmanager
async def out_of_tls() -> AsyncIterator[dict[str, Any]]:
    authority, theirs, ours = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(theirs)
    authority.configure_trust(ours)
    there = f"HTTP/1.1 302 Found\nLocation: {secret('http://127.0.0.1:1/')}\nContent-Length: 0"
    async with answering(lambda head: there, ssl=theirs) as server:
        yield {"url": secret(server.url), "ssl": ours}


@asynccontextmanager
async def silence(**timeouts: float) -> AsyncIterator[dict[str, Any]]:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(meet, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    async with contextlib.AsyncExitStack() as stack:
        session: dict[str, Any] = {"open_timeout": 0.1}
        if timeouts:
            session = {"session": aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(**timeouts))}
            await stack.enter_async_context(session["session"])
        yield {"url": secret(url), **session}
    listener.close()


@asynccontextmanager
async def through_proxy(answer: str) -> AsyncIterator[dict[str, Any]]:
    async with answering(lambda head: answer) as proxy:
        yield {"url": secret("wss://localhost/"), "proxy": secret(proxy.url.replace("ws:", "http:"))}


@asynccontextmanager
async def token_server(error: Callable[[], BaseException]) -> AsyncIterator[dict[str, Any]]:
    def fail() -> str:
        raise error()

    yield {"url": fail}


@asynccontextmanager
async def token_server_refuses() -> AsyncIterator[dict[str, Any]]:
    async def forbid(_: web.Request) -> web.Response:
        raise web.HTTPForbidden

    async with told(forbid) as there:

        async def ask() -> str:
            async with aiohttp.ClientSession(raise_for_status=True) as session, session.get(there["url"]) as answer:
                return await answer.text()

        yield {"url": ask}


async def echo_of_the_request(request: web.Request) -> web.Response:
    text = f"no {request.path_qs} at {request.url}: {request.query['token']!r} is unknown, {request.headers}"
    return web.Response(status=401, text=text)


async def around_and_around(request: web.Request) -> web.Response:
    raise web.HTTPFound(request.path_qs)


async def elsewhere(request: web.Request) -> web.Response:
    if "signature" not in request.query:
        raise web.HTTPFound("/?signature=another-t0ken")
    return web.Response(status=403, text=f"no {request.path_qs}")


def group() -> Exception:
    return ExceptionGroup("tasks", [OSError(1, "no", secret("http://a/")), aiohttp.ClientError(secret("http://b/"))])


def moved(location: str) -> Callable[[bytes], str]:
    return lambda head: f"HTTP/1.1 302 Found\nLocation: {location}\nContent-Length: 0"


CASES: dict[str, tuple[str, Case]] = {
    "URL, by a client's error": ("request", lambda: token_server(lambda: aiohttp.ClientError(secret("http://a/")))),
    "URL, by an OSError": ("request", lambda: token_server(lambda: OSError(1, "no", secret("http://a/")))),
    "URL, by a group": ("request", lambda: token_server(group)),
    "URL, by an answer": ("request", token_server_refuses),
    "DNS": ("dns", lambda: nothing("ws://nowhere.invalid/")),
    "TCP": ("tcp", lambda: nothing("ws://127.0.0.1:1/")),
    "no TLS there": ("tls", lambda: told(around_and_around, "wss")),
    "a bad certificate": ("tls", bad_certificate),
    "no proxy": ("proxy", lambda: nothing("ws://localhost/", proxy=secret("http://127.0.0.1:1/"))),
    "no such proxy": ("proxy", lambda: nothing("ws://localhost/", proxy=secret("http://nowhere.invalid:1/"))),
    "a proxy that refuses": ("proxy", lambda: through_proxy("HTTP/1.1 407 No\nContent-Length: 0")),
    "a proxy that is none": ("proxy", lambda: through_proxy("SSH-2.0-OpenSSH")),
    "401, and the body has it all": ("http", lambda: told(echo_of_the_request)),
    "404": ("http", lambda: answered(lambda head: "HTTP/1.1 404 Not Found\nContent-Length: 0")),
    "redirects without end": ("http", lambda: told(around_and_around)),
    "a redirect out of TLS": ("http", out_of_tls),
    "a redirect to nowhere": ("http", lambda: answered(moved(f"ftp://ada:{PASSWORD}@a/?token={TOKEN}"))),
    "a redirect without a host": ("http", lambda: answered(moved("http:/ada:another-p4ssword@a/"))),
    "a redirect with another token": ("http", lambda: told(elsewhere)),
    "a redirect to no URL": ("http", lambda: answered(moved(f"http://[?token={TOKEN}"))),
    "a wrong accept": ("handshake", lambda: answered(lambda head: upgrade(head, without="Sec-WebSocket-Accept"))),
    "a subprotocol": ("handshake", lambda: answered(lambda head: upgrade(head, also="Sec-WebSocket-Protocol: a"))),
    "another protocol": ("handshake", lambda: answered(lambda head: "SSH-2.0-OpenSSH")),
    "no answer in time": ("timeout", silence),
    "the session's time": ("timeout", lambda: silence(total=0.1)),
    "the session's time to read": ("timeout", lambda: silence(sock_read=0.1)),
}


def seen(error: BaseException) -> str:
    """Give all that somebody may print of an error."""
    texts = [*traceback.format_exception(error)]
    one: BaseException | None = error
    while one is not None:
        texts += [str(one), repr(one)]
        one = one.__cause__
    return "".join(texts).replace(__file__, "")


@pytest.mark.parametrize("name", CASES)
async def test_error_has_no_secret(name: str) -> None:
    """Neither the error of a failed connection nor its causes show a token or a password, however they are printed."""
    stage, case = CASES[name]
    async with case() as options:
        url = options.pop("url")
        with pytest.raises(rxws.ConnectError) as failed:
            await rxws.connect(url, headers={"X-Key": PASSWORD}, **options)
    assert failed.value.stage == stage
    text = re.sub(r'(?m)^ +(raise |File "|[\w.]+ = |async with |return ).*$', "", seen(failed.value))
    assert SECRET.search(text) is None, text


@pytest.mark.parametrize("name", CASES)
async def test_log_has_no_secret(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """What a client that comes back logs of each failure, and of the last one, has no secret either."""
    caplog.set_level(logging.DEBUG, "rxws")
    _, case = CASES[name]
    async with case() as options:
        url = options.pop("url")
        backoff = rxws.Backoff(initial=0.01, maximum=0.01, max_attempts=2)
        async with rxws.connect(url, reconnect=backoff, **options) as socket:
            await ended(socket)
    records = [record for record in caplog.records if record.name.startswith("rxws")]
    assert records
    lines = "\n".join(f"{logging.Formatter().format(record)} {vars(record)}" for record in records)
    lines = re.sub(r'(?m)^ +(raise |File "|[\w.]+ = |async with |return ).*$', "", lines)
    assert SECRET.search(lines) is None, lines


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(token=st.text(st.characters(codec="utf-8"), min_size=8, max_size=30))
async def test_any_token(token: str) -> None:
    """Whatever a token is, and however it is written, a refusal does not show it."""
    async with told(echo_of_the_request) as options:
        url = URL(options["url"]).with_query(token=token)
        with pytest.raises(rxws.ConnectError) as failed:
            await rxws.connect(url)
        shown = seen(failed.value)
        assert repr(token)[1:-1] not in shown
        assert url.raw_query_string not in shown
