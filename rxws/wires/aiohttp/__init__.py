"""aiohttp's WebSocket objects as a `Wire`: all that relies on the inside of aiohttp and asyncio.

`FastWire` is a protocol of its own on the connection's transport; `PublicWire` uses aiohttp's public methods, and takes
over where the inside of aiohttp is not what it was, where messages are compressed, and where the environment variable
`RXWS_WIRE` is `public`.
"""

from rxws.wires.aiohttp.choice import open_wire, wire_mode
from rxws.wires.aiohttp.handshake import Response, frame_limit
from rxws.wires.aiohttp.inside import arrived_with, bound_first_request

__all__ = ["Response", "arrived_with", "bound_first_request", "frame_limit", "open_wire", "wire_mode"]
