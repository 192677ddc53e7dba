"""`connect`: the WebSocket that handlers get, over aiohttp's client; `feed`: a connection that many share."""

from rxws.client.greeting import Greeting
from rxws.client.opening import connect, feed
from rxws.client.sharing import SharedFeed
from rxws.client.socket import ClientWebSocket
from rxws.client.states import Closed, Connecting, Open, Waiting

__all__ = ["ClientWebSocket", "Closed", "Connecting", "Greeting", "Open", "SharedFeed", "Waiting", "connect", "feed"]
