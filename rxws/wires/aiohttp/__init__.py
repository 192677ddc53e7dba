"""aiohttp's WebSocket objects as a `Wire`: all that relies on the inside of aiohttp and asyncio.

`FastWire` is a protocol of its own on the connection's transport; `PublicWire` uses aiohttp's public methods, and takes
over where the inside of aiohttp is not what it was, where an attached WebSocket compresses (`attach`), and where
the environment variable `RXWS_WIRE` is `public`.
"""

from rxws.wires.aiohttp.choice import open_wire, wire_mode
from rxws.wires.aiohttp.handshake import Agreed, Response, frame_limit
from rxws.wires.aiohttp.inside import (
    Asking,
    abandon,
    asks_for_upgrade,
    base_of,
    bound_first_request,
    drop_what_follows,
    forget_frames,
    keep_from_closing,
    remote_of,
    take_arrived,
)
from rxws.wires.aiohttp.tunnel import SECURE, Tunneling

__all__ = [
    "SECURE",
    "Agreed",
    "Asking",
    "Response",
    "Tunneling",
    "abandon",
    "asks_for_upgrade",
    "base_of",
    "bound_first_request",
    "drop_what_follows",
    "forget_frames",
    "frame_limit",
    "keep_from_closing",
    "open_wire",
    "remote_of",
    "take_arrived",
    "wire_mode",
]
