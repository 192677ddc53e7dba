"""From a server's call to an open socket: the checks that the server leaves to us, the hub's limit, the wire."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from rxws import codecs
from rxws.asgi.lifespan import hub_in
from rxws.asgi.refusal import Denied
from rxws.asgi.request import Calling, client_of, headers_of
from rxws.core.lifecycle import Lifecycle
from rxws.core.log import SERVER, SocketLog, log_line
from rxws.core.outgoing import Outgoing
from rxws.core.socket import WebSocket
from rxws.core.text_outgoing import TextOutgoing
from rxws.errors import ConnectionLost
from rxws.options import Settings
from rxws.rx.foreign import caused
from rxws.server.hub import Hub
from rxws.stats import tally
from rxws.wires.asgi import AsgiWire, Scope
from rxws.wires.negotiation import Strangers, choose_protocol, foreign

LEFT: Final = "the client left during the handshake"

_strangers = Strangers()
_warned = [False]


class Opening:
    """One call on its way to become a socket."""

    def __init__(self, call: Calling, settings: Settings) -> None:
        """Check the handshake; raises `Denied`, or what the codec's factory does."""
        self.call = call
        self._hub = hub_in(call.scope)
        if self._hub is None:
            _warn_once()
        log = _log_of(call, self._hub)
        _check_origin(call, settings, self._hub, log)
        protocol = choose_protocol(call.scope.get("subprotocols") or (), settings.protocols)
        self._sends_text = settings.codec_for(protocol) is codecs.text
        outgoing = TextOutgoing if self._sends_text else Outgoing
        self.life = Lifecycle(settings, protocol, log=log, outgoing=outgoing)
        if self._hub is not None and not self._hub.admit(self.life):
            self.life.abort()
            raise Denied(503, "No more sockets at the moment\n", {"Retry-After": "1"})
        try:
            self.life.make_codec()
        except BaseException:
            self.life.abort()
            raise
        self.socket: WebSocket[Any, Any] = WebSocket(self.life, request=call.request)

    async def begin(self) -> None:
        """Wait for the client, if that is not done; raises `Denied` if it has left."""
        if self.call.expects_connect:
            event = await self.call.receive()
            if event["type"] != "websocket.connect":
                raise self._left(None)

    async def open(self) -> AsgiWire:
        """Accept the handshake; raises `Denied` with the status 0 if the client has left: nobody gets an answer."""
        life, call, settings = self.life, self.call, self.life.settings
        try:
            async with asyncio.timeout(settings.close_timeout):
                await call.send({"type": "websocket.accept", "subprotocol": life.protocol, "headers": []})
        except Exception as error:
            raise self._left(error) from error
        wire = AsgiWire(
            call.receive,
            call.send,
            remote=client_of(call.scope),
            max_msg_size=settings.max_msg_size,
            close_timeout=settings.close_timeout,
            text_is_message=self._sends_text,
            says_all_codes=not _is_daphne(call.scope),
        )
        life.open(wire, life.protocol)
        if self._hub is not None:
            self._hub.add(self.socket, life)
        return wire

    def _left(self, error: Exception | None) -> Denied:
        self.life.reports.log.lost(caused(ConnectionLost(LEFT), error))
        return Denied(0, LEFT)


def _is_daphne(scope: Scope) -> bool:
    """Return whether the server is daphne, which closes with 1000 and 3000 to 4999 alone.

    It does not say which ASGI it speaks. The test clients of frameworks do not even say that it is ASGI.
    """
    return "spec_version" not in scope.get("asgi", ("spec_version",))


def _check_origin(call: Calling, settings: Settings, hub: Hub | None, log: SocketLog) -> None:
    origins, hosts = (headers_of(call.scope, name) for name in ("origin", "host"))
    host = hosts[0] if hosts else ""
    if len(origins) > 1:
        why: str | None = "There must be one Origin at most"
    else:
        secure = call.scope.get("scheme") in ("wss", "https")
        why = foreign(origins[0] if origins else None, host, settings.origins, secure=secure)
    if why is None:
        return
    if hub is not None:
        tally(hub.refused_total, "origin")
    log.refused("origin", why, warn=_strangers.is_news(", ".join(origins), host))
    raise Denied(403, f"{why}\n")


def _log_of(call: Calling, hub: Hub | None) -> SocketLog:
    raw: bytes | None = call.scope.get("raw_path")
    path = call.scope["path"] if raw is None else raw.partition(b"?")[0].decode("latin-1")
    return SocketLog(SERVER, remote=client_of(call.scope), path=path, errors=None if hub is None else hub.errors_total)


def _warn_once() -> None:
    if not _warned[0]:
        _warned[0] = True
        log_line(
            SERVER,
            logging.WARNING,
            "rxws.asgi.setup(app), or a lifespan of the outermost application, is missing: "
            "sockets will not be closed with 1001 at shutdown, limited, or counted",
            event="setup",
        )
