"""Reactive WebSockets: a WebSocket bound to ReactiveX, on aiohttp."""

from rxws import codecs
from rxws.attach import attach
from rxws.closing import Close
from rxws.codecs import json
from rxws.errors import ConnectionLost, DecodeError, EncodeError, HeartbeatTimeout, ProtocolError, RxwsError
from rxws.hub import Hub
from rxws.overflow import latest_by
from rxws.server import accept, setup, websocket
from rxws.socket import WebSocket

__all__ = [
    "Close",
    "ConnectionLost",
    "DecodeError",
    "EncodeError",
    "HeartbeatTimeout",
    "Hub",
    "ProtocolError",
    "RxwsError",
    "WebSocket",
    "accept",
    "attach",
    "codecs",
    "json",
    "latest_by",
    "setup",
    "websocket",
]
