"""From an HTTP request to an open socket: the handshake's checks, the hub's limit, the wire."""

from __future__ import annotations

import asyncio
import logging
import re
import weakref
from typing import Any, Final

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from multidict import MultiMapping

from rxws.core.lifecycle import Lifecycle
from rxws.core.log import SERVER, SocketLog, log_line
from rxws.core.socket import WebSocket
from rxws.errors import ConnectionLost
from rxws.options import Settings
from rxws.rx.foreign import caused
from rxws.server.hub import Hub
from rxws.stats import tally
from rxws.wires.aiohttp import (
    Agreed,
    Response,
    asks_for_upgrade,
    drop_what_follows,
    forget_frames,
    open_wire,
    remote_of,
)
from rxws.wires.negotiation import Strangers, accept_deflate, choose_protocol, extensions, foreign, tokens

HUB = web.AppKey("rxws_hub", Hub)

KEEPS_CONTEXT: Final = "Tornado/"
"""A client that agrees to `client_no_context_takeover`, and keeps its context."""

KEY: Final = re.compile("[A-Za-z0-9+/]{22}==")
"""16 bytes in base64."""

_spoiled = weakref.WeakKeyDictionary[object, set[str]]()
_warned = weakref.WeakSet[web.Application]()
_strangers = weakref.WeakKeyDictionary[object, Strangers]()


class Upgrade:
    """One request on its way to become a socket."""

    def __init__(self, request: web.BaseRequest, settings: Settings) -> None:
        self._request = request
        self._hub = hub_of(request)
        log = log_of(request, self._hub)
        try:
            agreed = check_handshake(request, settings)
            check_origin(request, settings)
        except web.HTTPException as refusal:
            self._count(refusal, log)
            _refused(request, refusal)
            raise
        self.life = Lifecycle(settings, agreed.protocol, log=log)
        if self._hub is not None and not self._hub.admit(self.life):
            self.life.abort()
            later = {hdrs.RETRY_AFTER: "1"}  # to which a client of ours adds its own, random, wait
            full = web.HTTPServiceUnavailable(headers=later, text="No more sockets at the moment\n")
            raise _refused(request, full)
        try:
            self.life.make_codec()
        except BaseException:
            self.life.abort()
            raise
        self.response = Response(settings, agreed)
        self.socket: WebSocket[Any, Any] = WebSocket(self.life, request=request, response=self.response)

    async def open(self) -> None:
        """Answer the handshake; raises an HTTP response that goes nowhere if the client has left meanwhile."""
        transport = self._request.transport
        try:
            if transport is None or transport.is_closing():
                raise ConnectionResetError("the connection is closed")
            await self.response.prepare(self._request)
        except ConnectionError as error:
            left = "the client left during the handshake"
            self.life.reports.log.lost(caused(ConnectionLost(left), error))
            raise _refused(self._request, web.HTTPBadRequest(text=f"{left}\n")) from error
        self.life.open(open_wire(self.response, self.life.settings.close_timeout), self.life.protocol)
        if self._hub is not None:
            self._hub.add(self.socket, self.life)

    def give_up(self, error: BaseException) -> None:
        """End what does not become a socket."""
        self.life.abort()
        if isinstance(error, web.HTTPException):
            drop_what_follows(self._request, error)

    def _count(self, refusal: web.HTTPException, log: SocketLog) -> None:
        reason = "origin" if isinstance(refusal, web.HTTPForbidden) else "handshake"
        if self._hub is not None:
            tally(self._hub.refused_total, reason)
        why = (refusal.text or "").strip()
        warn = reason == "origin" or _is_spoiled(self._request, refusal)
        log.refused(reason, why, warn=warn and _is_news(self._request, reason, why))


def _refused(request: web.BaseRequest, refusal: web.HTTPException) -> web.HTTPException:
    """Return a refusal of ours to raise. Nobody needs its frames, and aiohttp keeps it until the next request."""
    drop_what_follows(request, refusal)
    asyncio.get_running_loop().call_soon(forget_frames, refusal)
    return refusal


def check_handshake(request: web.BaseRequest, settings: Settings) -> Agreed:
    """Return what a handshake agrees on; raises the HTTP response that any other request deserves.

    RFC 6455, sections 4.2.1 and 4.2.2.
    """
    if request.method != hdrs.METH_GET:
        text = f"A WebSocket handshake is a GET request, not {request.method}\n"
        raise web.HTTPMethodNotAllowed(request.method, [hdrs.METH_GET], text=text)
    if request.version <= HttpVersion10 or request.version.major > HttpVersion11.major:
        raise web.HTTPVersionNotSupported(
            text="A WebSocket handshake needs HTTP/1.1. Behind a proxy, make it use that"
            " (nginx: proxy_http_version 1.1)\n"
        )
    headers = request.headers
    lines_of = headers.getall  # as nearly all clients write them; others get a closer look
    if lines_of(hdrs.UPGRADE, ()) != ["websocket"] and _of(headers, hdrs.UPGRADE).lower() != "websocket":
        raise _upgrade_required(
            "This is a WebSocket endpoint: Upgrade must be websocket. Behind a proxy, make it pass that on"
            " (nginx: proxy_set_header Upgrade $http_upgrade)"
        )
    has_upgrade = lines_of(hdrs.CONNECTION, ()) == ["Upgrade"] or _has_upgrade(request)
    if not (has_upgrade and asks_for_upgrade(request)):
        raise _upgrade_required(
            "This is a WebSocket endpoint: Connection must be Upgrade. Behind a proxy, make it send both"
            " (nginx: proxy_set_header Connection upgrade)"
        )
    if lines_of(hdrs.SEC_WEBSOCKET_VERSION, ()) != ["13"] and _of(headers, hdrs.SEC_WEBSOCKET_VERSION) != "13":
        raise _upgrade_required("Sec-WebSocket-Version must be 13", {hdrs.SEC_WEBSOCKET_VERSION: "13"})
    key, hosts = _of(headers, hdrs.SEC_WEBSOCKET_KEY), lines_of(hdrs.HOST, ())
    if not KEY.fullmatch(key):
        raise _bad_request("Sec-WebSocket-Key must be 16 bytes in base64")
    if len(hosts) > 1:
        raise _bad_request("There must be one Host")
    if not (hosts and hosts[0].strip()):
        raise _bad_request("Host is missing")
    if hdrs.ORIGIN in headers and len(headers.getall(hdrs.ORIGIN)) > 1:
        raise _bad_request("There must be one Origin at most")
    if (hdrs.CONTENT_LENGTH in headers and request.content_length) or hdrs.TRANSFER_ENCODING in headers:
        raise _bad_request("A WebSocket handshake has no body")
    if hdrs.SEC_WEBSOCKET_PROTOCOL not in headers and hdrs.SEC_WEBSOCKET_EXTENSIONS not in headers:
        return Agreed(key, None, None)
    protocols = headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, ())
    offers = headers.getall(hdrs.SEC_WEBSOCKET_EXTENSIONS, ())
    try:
        offered = tokens(hdrs.SEC_WEBSOCKET_PROTOCOL, protocols) if protocols else []
        wanted = extensions(offers) if offers else []
    except ValueError as error:
        raise _bad_request(str(error)) from None
    keeps_context = headers.get(hdrs.USER_AGENT, "").startswith(KEEPS_CONTEXT)
    deflate = accept_deflate(wanted, settings.compress, keeps_context=keeps_context)
    return Agreed(key, choose_protocol(offered, settings.protocols), deflate)


def check_origin(request: web.BaseRequest, settings: Settings) -> None:
    """Raise 403 for a page that browsers may not connect from."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None:  # as of programs
        return
    why = foreign(origin, request.host, settings.origins, secure=request.secure)
    if why is not None:
        raise web.HTTPForbidden(text=f"{why}\n")


def _is_spoiled(request: web.BaseRequest, refusal: web.HTTPException) -> bool:
    """Return whether a proxy has dropped what asks for the upgrade: only `Sec-WebSocket-Key` is left of it."""
    if hdrs.SEC_WEBSOCKET_KEY not in request.headers or refusal.status == 405:  # whose text names what a stranger chose
        return False
    return not (_has_upgrade(request) and _of(request.headers, hdrs.UPGRADE)) or request.version < HttpVersion11


def _has_upgrade(request: web.BaseRequest) -> bool:
    """Return whether the connection is to be upgraded."""
    options = _of(request.headers, hdrs.CONNECTION).lower()
    return options == "upgrade" or "upgrade" in map(str.strip, options.split(","))


def _of(headers: MultiMapping[str], name: str) -> str:
    """Give the lines of a header as one value (RFC 9110, section 5.3)."""
    return ", ".join(headers.getall(name, ())).strip()


def _bad_request(why: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=f"{why}\n")


def _upgrade_required(text: str, headers: dict[str, str] | None = None) -> web.HTTPUpgradeRequired:
    also = {hdrs.UPGRADE: "websocket", hdrs.CONNECTION: "Upgrade", **(headers or {})}
    return web.HTTPUpgradeRequired(headers=also, text=f"{text}\n")


def _is_news(request: web.BaseRequest, reason: str, why: str) -> bool:
    """Return whether this is seen for the first time: a foreign origin and a host, few of them; or another refusal."""
    where = request.app if isinstance(request, web.Request) else web.Server  # which stands for all low-level servers
    if reason == "origin":
        return _strangers.setdefault(where, Strangers()).is_news(request.headers[hdrs.ORIGIN], request.host)
    told = _spoiled.setdefault(where, set())  # a proxy may have several faults, and each is seen when one is mended
    is_first = why not in told
    told.add(why)
    return is_first


def hub_of(request: web.BaseRequest | None) -> Hub | None:
    """Find the hub of a request's application; warn once for an application that has none.

    A request of a low-level server (`web.Server`) has no application, and none of a client's response is there.
    """
    if not isinstance(request, web.Request):
        return None
    hub = request.app.get(HUB)
    if hub is None:  # it may be a sub-application
        hub = request.config_dict.get(HUB)
    if hub is None and request.app not in _warned:
        _warned.add(request.app)
        log_line(
            SERVER,
            logging.WARNING,
            "rxws.setup(app) is missing: sockets will not be closed with 1001 at shutdown, limited, or counted",
            event="setup",
        )
    return hub


def log_of(request: web.BaseRequest, hub: Hub | None) -> SocketLog:
    """Make the log of a request's socket."""
    errors = None if hub is None else hub.errors_total
    remote = request.remote or remote_of(request)  # the first is what a middleware says, but '' for a UNIX socket
    return SocketLog(SERVER, remote=remote, path=request.rel_url.raw_path, errors=errors)
