"""rxws on ASGI: `websocket`, `accept`, `setup`, `lifespan`, for Starlette, FastAPI, Litestar, and without a framework.

The same handlers as on aiohttp, with the same options. ASGI is only a protocol, so you need no other package.
`docs/asgi.md` says what the servers do differently.
"""

from rxws.asgi.lifespan import Lifespan, lifespan, setup
from rxws.asgi.refusal import Denied
from rxws.asgi.request import Request
from rxws.asgi.routes import accept, websocket

__all__ = ["Denied", "Lifespan", "Request", "accept", "lifespan", "setup", "websocket"]
