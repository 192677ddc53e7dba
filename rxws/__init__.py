"""Reactive WebSockets: a WebSocket bound to ReactiveX, on aiohttp."""

from rxws import codecs, operators
from rxws.aiohttp_wire import wire_mode
from rxws.attach import attach
from rxws.backoff import Backoff
from rxws.client import connect
from rxws.client_socket import ClientWebSocket
from rxws.closing import Close
from rxws.codecs import json
from rxws.errors import (
    ConnectError,
    ConnectionLost,
    DecodeError,
    EncodeError,
    HeartbeatTimeout,
    ProtocolError,
    RxwsError,
)
from rxws.hub import Hub
from rxws.offline import expire
from rxws.overflow import latest_by
from rxws.run import run
from rxws.server import accept, setup, websocket
from rxws.socket import WebSocket
from rxws.states import Closed, Connecting, Open, Waiting
from rxws.topics import topics

__all__ = [
    "Backoff",
    "ClientWebSocket",
    "Close",
    "Closed",
    "ConnectError",
    "Connecting",
    "ConnectionLost",
    "DecodeError",
    "EncodeError",
    "HeartbeatTimeout",
    "Hub",
    "Open",
    "ProtocolError",
    "RxwsError",
    "Waiting",
    "WebSocket",
    "accept",
    "attach",
    "codecs",
    "connect",
    "expire",
    "json",
    "latest_by",
    "operators",
    "run",
    "setup",
    "topics",
    "websocket",
    "wire_mode",
]
