"""From an HTTP request to an open socket: the handshake's checks, the hub's limit, the wire."""

from __future__ import annotations

import base64
import binascii
import weakref
from typing import Any

from aiohttp import hdrs, web

from rxws.core.lifecycle import Lifecycle
from rxws.core.log import SERVER, SocketLog
from rxws.core.socket import WebSocket
from rxws.options import Settings
from rxws.server.hub import Hub
from rxws.wires.aiohttp import Response, open_wire

HUB = web.AppKey("rxws_hub", Hub)
_warned = weakref.WeakSet[web.Application]()


class Upgrade:
    """One request on its way to become a socket."""

    def __init__(self, request: web.Request, settings: Settings) -> None:
        self._request = request
        self._hub = hub_of(request)
        log = log_of(request, self._hub)
        try:
            check_handshake(request)
            check_origin(request, settings)
        except web.HTTPException as refusal:
            if self._hub is not None:
                self._hub.refuse("origin" if isinstance(refusal, web.HTTPForbidden) else "handshake", log)
            raise
        self.life = Lifecycle(settings, negotiate(request, settings.protocols), log=log)
        if self._hub is not None and not self._hub.admit(self.life):
            raise web.HTTPServiceUnavailable(text="No more sockets at the moment\n")
        self.response = Response(settings)
        self.socket: WebSocket[Any, Any] = WebSocket(self.life, request=request, response=self.response)

    async def open(self) -> None:
        """Answer the handshake."""
        await self.response.prepare(self._request)
        self.life.open(open_wire(self.response, self.life.settings.close_timeout), self.life.protocol)
        if self._hub is not None:
            self._hub.add(self.socket, self.life)


def check_handshake(request: web.Request) -> None:
    """Raise the HTTP response that a request deserves which is no WebSocket handshake (RFC 6455, section 4.2)."""
    headers = request.headers
    if headers.get(hdrs.UPGRADE, "").strip().lower() != "websocket":
        raise web.HTTPUpgradeRequired(
            headers={hdrs.UPGRADE: "websocket", hdrs.CONNECTION: "Upgrade"}, text="This is a WebSocket endpoint\n"
        )
    if headers.get(hdrs.SEC_WEBSOCKET_VERSION) != "13":
        raise web.HTTPUpgradeRequired(
            headers={hdrs.UPGRADE: "websocket", hdrs.CONNECTION: "Upgrade", hdrs.SEC_WEBSOCKET_VERSION: "13"},
            text="Sec-WebSocket-Version must be 13\n",
        )
    try:
        key = base64.b64decode(headers.get(hdrs.SEC_WEBSOCKET_KEY, ""), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 16:
        raise web.HTTPBadRequest(text="Sec-WebSocket-Key must be 16 bytes in base64\n")


def check_origin(request: web.Request, settings: Settings) -> None:
    """Raise 403 for a page that browsers may not connect from."""
    if not admits(request.headers.get(hdrs.ORIGIN), request.host, settings.origins):
        raise web.HTTPForbidden(text=f"Origin {request.headers[hdrs.ORIGIN]!r} is not allowed here\n")


def negotiate(request: web.Request, protocols: tuple[str, ...]) -> str | None:
    """Choose the subprotocol as aiohttp will: the first of the client's that the server knows."""
    offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "").split(",")
    return next((name for name in map(str.strip, offered) if name in protocols), None)


def hub_of(request: web.Request) -> Hub | None:
    """Find the hub of a request's application; warn once for an application that has none."""
    hub = request.config_dict.get(HUB)
    if hub is None and request.app not in _warned:
        _warned.add(request.app)
        SERVER.warning(
            "rxws.setup(app) is missing: sockets will not be closed with 1001 at shutdown, limited, or counted",
            extra={"ws_event": "setup"},
        )
    return hub


def log_of(request: web.Request, hub: Hub | None) -> SocketLog:
    """Make the log of a request's socket."""
    errors = None if hub is None else hub.errors_total
    return SocketLog(SERVER, remote=request.remote, path=request.rel_url.raw_path, errors=errors)


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
