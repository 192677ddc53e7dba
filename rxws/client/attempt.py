"""One attempt to connect: how far it has come, and what aiohttp drops of its answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Final
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp import ClientSession, TraceConfig, TraceRequestRedirectParams, hdrs
from yarl import URL

from rxws.client.secrets import Secrets, without_secrets
from rxws.client.targets import is_name
from rxws.errors import ConnectError
from rxws.wires.aiohttp import SECURE, take_arrived

BODY: Final = 1024
"""Bytes of a refusal's body that are read."""

BODY_TIMEOUT: Final = 1.0
"""Seconds that reading them may take."""


class Attempt:
    """What is known of an attempt, and what aiohttp drops of its answer."""

    def __init__(self) -> None:
        self.secrets = Secrets()
        self.proxy: URL | None = None
        """The proxy that it goes through."""
        self.encrypted = False
        """Whether the URL asks for TLS."""
        self.connecting = False
        """Whether a connection is being opened."""
        self.queued: ClientSession | None = None
        """The session whose connector has no connection to give."""
        self.response: aiohttp.ClientResponse | None = None
        """The server's answer."""
        self.body = b""
        """What there is of it, of a refusal."""
        self.arrived: bytes | None = None
        """The frames that came with an upgrade, which are parsed later."""

    async def see(self, response: aiohttp.ClientResponse) -> None:
        """Note an answer."""
        self.response = response
        self.secrets.add(response.url)  # a redirect may have led there
        if response.status == 101:
            self.arrived = take_arrived(response)
            return
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(BODY_TIMEOUT):
                while chunk := await response.content.read(BODY - len(self.body)):
                    self.body += chunk


_present = ContextVar[Attempt | None]("rxws_attempt", default=None)
"""Set while aiohttp asks for a connection, so that what else is asked of its session is left alone."""


def _target_of(response: aiohttp.ClientResponse) -> URL | None:
    """Give the URL that a redirect leads to, if it is one, and its host can be looked up."""
    try:
        target = response.url.join(URL(response.headers.get(hdrs.LOCATION, "")))
        return target if target.raw_host and is_name(target.raw_host) else None
    except Exception:  # yarl may raise others than ValueError
        return None


def _make_tracer() -> TraceConfig:
    """Make what watches a session for the attempts: where they are sent, and how far they have come."""

    async def refuse(_: ClientSession, __: SimpleNamespace, params: TraceRequestRedirectParams) -> None:
        response = params.response
        if _present.get() is None or hdrs.SEC_WEBSOCKET_KEY not in response.request_info.headers:
            return
        if (target := _target_of(response)) is None:
            response.close()
            location = without_secrets(response.headers[hdrs.LOCATION])[:200]
            message = f"the server redirects to something that is not a URL: {location!r}"
            raise ConnectError(message, "http", status=response.status, headers=response.headers)
        if response.url.scheme in SECURE and target.scheme not in SECURE:
            response.close()
            message = f"the server redirects to {without_secrets(target)}, which is not encrypted"
            raise ConnectError(message, "http", status=response.status, headers=response.headers)

    async def wait(session: ClientSession, *_: object) -> None:
        if (attempt := _present.get()) is not None:
            attempt.queued = session

    async def go_on(*_: object) -> None:
        if (attempt := _present.get()) is not None:
            attempt.queued = None

    async def connecting(*_: object) -> None:
        if (attempt := _present.get()) is not None:
            attempt.connecting = True

    async def connected(*_: object) -> None:
        if (attempt := _present.get()) is not None:
            attempt.connecting = False

    tracer = TraceConfig()
    tracer.on_connection_create_start.append(connecting)
    tracer.on_connection_create_end.append(connected)
    tracer.on_request_redirect.append(refuse)
    tracer.on_connection_queued_start.append(wait)
    tracer.on_connection_queued_end.append(go_on)
    tracer.freeze()
    return tracer


_tracer: Final = _make_tracer()
"""One for all attempts: it keeps itself, so that one for each would be left to Python's collector."""

_attempts = WeakKeyDictionary[ClientSession, int]()


@contextlib.contextmanager
def watching(session: ClientSession, attempt: Attempt) -> Generator[None]:
    """Watch a session during an attempt; several may be made at a time."""
    others = _attempts.get(session, 0)
    _attempts[session] = others + 1
    if not others:
        session.trace_configs.append(_tracer)
    token = _present.set(attempt)
    try:
        yield
    finally:
        _present.reset(token)
        _attempts[session] -= 1
        if not _attempts[session]:
            session.trace_configs.remove(_tracer)
