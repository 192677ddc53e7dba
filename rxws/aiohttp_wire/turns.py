"""The turns of an event loop: what is written in one leaves together, but for the first."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Writing(Protocol):
    """A wire that has written in this turn."""

    def turn_ended(self) -> None:
        """Write what has come since."""
        ...


class Turns:
    """Tells those who have written when a turn ends, with one callback for all of them."""

    __slots__ = ("_wires",)

    def __init__(self) -> None:
        self._wires: list[Writing] = []

    def wrote(self, wire: Writing) -> None:
        """Tell this one, too."""
        if not self._wires:
            asyncio.get_running_loop().call_soon(self._end)
        self._wires.append(wire)

    def _end(self) -> None:
        wires, self._wires = self._wires, []
        for wire in wires:
            wire.turn_ended()
