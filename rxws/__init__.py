"""Reactive WebSockets: a WebSocket bound to ReactiveX, on aiohttp."""

import importlib.util  # pyright: ignore[reportUnusedImport] - in __getattr__, which it does not see
import typing

from rxws import codecs, operators
from rxws.backoff import Backoff
from rxws.client.greeting import Greeting
from rxws.client.opening import connect, feed
from rxws.client.sharing import SharedFeed
from rxws.client.socket import ClientWebSocket
from rxws.client.states import Closed, Connecting, Open, Waiting
from rxws.close import Close
from rxws.codecs import json
from rxws.core.socket import WebSocket
from rxws.errors import (
    ConnectError,
    ConnectionLost,
    DecodeError,
    EncodeError,
    HeartbeatTimeout,
    ProtocolError,
    RxwsError,
)
from rxws.options import Deflate, Heartbeat
from rxws.policies import expire, latest_by
from rxws.processes.run import run
from rxws.rooms import Rooms
from rxws.server.attached import attach
from rxws.server.hub import Hub
from rxws.server.routes import accept, setup, websocket
from rxws.topics import topics
from rxws.wires.aiohttp import wire_mode

__all__ = [
    "Backoff",
    "ClientWebSocket",
    "Close",
    "Closed",
    "ConnectError",
    "Connecting",
    "ConnectionLost",
    "DecodeError",
    "Deflate",
    "EncodeError",
    "Greeting",
    "Heartbeat",
    "HeartbeatTimeout",
    "Hub",
    "Open",
    "ProtocolError",
    "Rooms",
    "RxwsError",
    "SharedFeed",
    "Waiting",
    "WebSocket",
    "accept",
    "attach",
    "codecs",
    "connect",
    "expire",
    "feed",
    "json",
    "latest_by",
    "operators",
    "run",
    "setup",
    "topics",
    "websocket",
    "wire_mode",
]

__version__ = "0.2.0.dev0"


def __dir__() -> list[str]:
    """Give the public names alone, for completion."""
    return sorted([*__all__, "__version__"])


if not typing.TYPE_CHECKING:  # type checkers would take every name for known

    def __getattr__(name: str) -> object:
        """Tell which modules have to be imported, such as `rxws.testing`. Other names get Python's own words."""
        message, module = f"module {__name__!r} has no attribute {name!r}", f"{__name__}.{name}"
        if name.isidentifier() and not name.startswith("_") and importlib.util.find_spec(module) is not None:
            raise AttributeError(f"{message}: write 'import {module}'", obj=None)  # None: Python suggests no other name
        raise AttributeError(message)
