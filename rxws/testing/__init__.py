"""Sockets without a network, and virtual time."""

from rxws.testing.dialing import MemoryDialer, connect
from rxws.testing.marbles import Marbles
from rxws.testing.memory import MemoryWire, serve
from rxws.testing.notation import parse, write
from rxws.testing.regression import replay
from rxws.testing.running import Run, run
from rxws.testing.virtual import VirtualLoop, run_virtually, virtual_time

__all__ = [
    "Marbles",
    "MemoryDialer",
    "MemoryWire",
    "Run",
    "VirtualLoop",
    "connect",
    "parse",
    "replay",
    "run",
    "run_virtually",
    "serve",
    "virtual_time",
    "write",
]
