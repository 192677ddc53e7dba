"""The wire on ASGI: `receive` and `send` of any ASGI server."""

from rxws.wires.asgi.wire import AsgiEvent, AsgiWire, Receive, Scope, Send

__all__ = ["AsgiEvent", "AsgiWire", "Receive", "Scope", "Send"]
