"""Sockets without a network."""

from rxws.testing.memory import MemoryWire, serve

__all__ = ["MemoryWire", "serve"]
