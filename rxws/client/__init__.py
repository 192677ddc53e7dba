"""`connect`: the same WebSocket that handlers get, over aiohttp's client."""

from rxws.client.opening import connect
from rxws.client.socket import ClientWebSocket
from rxws.client.states import Closed, Connecting, Open, Waiting

__all__ = ["ClientWebSocket", "Closed", "Connecting", "Open", "Waiting", "connect"]
