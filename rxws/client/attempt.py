"""One attempt to connect: how far it got, and the parts of the server's answer that aiohttp drops."""

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

MAX_BODY: Final = 1024
"""Bytes that are read of a refusal's body."""

BODY_TIMEOUT: Final = 1.0
"""Seconds that reading a refusal's body may take."""


class Attempt:
    """What is known about an attempt, and the parts of the server's answer that aiohttp drops.

    Memory: `MAX_BODY` bytes of a refusal, or the frames that arrived with an upgrade.
    """

    def __init__(self) -> None:
        self.secrets = Secrets()
        self.proxy: URL | None = None
        """The proxy that it uses."""
        self.encrypted = False
        """Whether the URL asks for TLS."""
        self.connecting = False
        """Whether aiohttp is opening a connection, TLS included."""
        self.queued: ClientSession | None = None
        """The session, while its connector has no free connection."""
        self.response: aiohttp.ClientResponse | None = None
        """The server's answer."""
        self.body = b""
        """The beginning of the body of a refusal."""
        self.arrived: bytes | None = None
        """The frames that arrived with an upgrade, and are still to be parsed."""

    async def take_answer(self, response: aiohttp.ClientResponse) -> None:
        """Keep the server's answer, and read what aiohttp would drop."""
        self.response = response
        self.secrets.add(response.url)  # a redirect may have led there
        if response.status == 101:
            self.arrived = take_arrived(response)
            return
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(BODY_TIMEOUT):
                while chunk := await response.content.read(MAX_BODY - len(self.body)):
                    self.body += chunk


_current = ContextVar[Attempt | None]("rxws_attempt", default=None)
"""The attempt for which aiohttp connects. Other requests of the same session have none, and are not touched."""


def _target_of(response: aiohttp.ClientResponse) -> URL | None:
    """Return the URL that a redirect leads to; `None` if it is not a URL, or its host cannot be looked up."""
    try:
        target = response.url.join(URL(response.headers.get(hdrs.LOCATION, "")))
        return target if target.raw_host and is_name(target.raw_host) else None
    except Exception:  # yarl may raise others than ValueError
        return None


def _make_tracer() -> TraceConfig:
    """Make a tracer that checks redirects of attempts, and records how far they get."""

    async def check_redirect(_: ClientSession, __: SimpleNamespace, params: TraceRequestRedirectParams) -> None:
        response = params.response
        if _current.get() is None or hdrs.SEC_WEBSOCKET_KEY not in response.request_info.headers:
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

    async def queued(session: ClientSession, *_: object) -> None:
        if (attempt := _current.get()) is not None:
            attempt.queued = session

    async def left_queue(*_: object) -> None:
        if (attempt := _current.get()) is not None:
            attempt.queued = None

    async def connecting(*_: object) -> None:
        if (attempt := _current.get()) is not None:
            attempt.connecting = True

    async def connected(*_: object) -> None:
        if (attempt := _current.get()) is not None:
            attempt.connecting = False

    tracer = TraceConfig()
    tracer.on_connection_create_start.append(connecting)
    tracer.on_connection_create_end.append(connected)
    tracer.on_request_redirect.append(check_redirect)
    tracer.on_connection_queued_start.append(queued)
    tracer.on_connection_queued_end.append(left_queue)
    tracer.freeze()
    return tracer


_tracer: Final = _make_tracer()
"""The tracer of all attempts. It refers to itself, so one for each would be left to Python's collector."""

_attempts = WeakKeyDictionary[ClientSession, int]()
"""How many attempts each session makes now."""


@contextlib.contextmanager
def watching(session: ClientSession, attempt: Attempt) -> Generator[None]:
    """Trace a session during an attempt. A session may make several at a time."""
    others = _attempts.get(session, 0)
    _attempts[session] = others + 1
    if not others:
        session.trace_configs.append(_tracer)
    token = _current.set(attempt)
    try:
        yield
    finally:
        _current.reset(token)
        _attempts[session] -= 1
        if not _attempts[session]:
            session.trace_configs.remove(_tracer)
