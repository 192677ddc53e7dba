"""How many sockets open in one turn of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final
from weakref import WeakKeyDictionary

OPENINGS_A_TURN: Final = 16
"""Handshakes that are answered before the sockets that are open have their turn: some 10 ms of work."""


class Openings:
    """Gives each handshake its place: sixteen in a turn of the event loop, the others later, in order.

    A crowd that comes at once, after a restart, say, then keeps the loop for some milliseconds at a time.

    Memory: a future for each request that waits. aiohttp has read those already.
    """

    def __init__(self) -> None:
        self._left = OPENINGS_A_TURN
        self._counting = False  # the end of this turn will be noticed
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take a place in this turn, or wait for one."""
        if not self._counting:
            self._counting = True
            loop.call_soon(self._turn, loop)
        if self._left:
            self._left -= 1
        else:
            place = loop.create_future()
            self._waiting.append(place)
            await place

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the next ones go on; who comes in this turn has the places that are left."""
        waiting, left = self._waiting, OPENINGS_A_TURN
        while left and waiting:
            place = waiting.popleft()
            if not place.done():  # or its request was cancelled
                place.set_result(None)
                left -= 1
        self._left = left
        if left < OPENINGS_A_TURN:
            loop.call_soon(self._turn, loop)
        else:
            self._counting = False


_openings: WeakKeyDictionary[asyncio.AbstractEventLoop, Openings] = WeakKeyDictionary()


async def wait_to_open() -> None:
    """Wait for a place to open a socket in this turn of the event loop, or in a later one."""
    loop = asyncio.get_running_loop()
    openings = _openings.get(loop)
    if openings is None:
        openings = _openings[loop] = Openings()
    await openings.wait(loop)
