"""The wire on ASGI: `receive` and `send` of any ASGI server."""

from rxws.wires.asgi.wire import AsgiWire, Receive, Scope, Send

__all__ = ["AsgiWire", "Receive", "Scope", "Send"]
