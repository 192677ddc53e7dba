"""Sockets without a network."""

from rxws.testing.dialing import MemoryDialer, connect
from rxws.testing.memory import MemoryWire, serve

__all__ = ["MemoryDialer", "MemoryWire", "connect", "serve"]
