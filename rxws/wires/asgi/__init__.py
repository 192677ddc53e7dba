"""The wire on ASGI: `receive` and `send` of a server that somebody else wrote."""

from rxws.wires.asgi.wire import AsgiWire, Receive, Scope, Send

__all__ = ["AsgiWire", "Receive", "Scope", "Send"]
