"""rxws on an aiohttp server: `websocket`, `accept`, `attach`, `setup`."""

from rxws.server.attached import attach
from rxws.server.hub import Hub
from rxws.server.routes import accept, setup, websocket

__all__ = ["Hub", "accept", "attach", "setup", "websocket"]
