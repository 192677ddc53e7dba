"""How many sockets open in one turn of the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final
from weakref import WeakKeyDictionary

OPENINGS_A_TURN: Final = 16
"""Handshakes that are answered before the sockets that are open have their turn: some 10 ms of work."""


class Openings:
    """Gives each handshake its place: sixteen at most in a turn of the event loop, the others later, in order.

    A crowd that comes at once, after a restart, say, then keeps the loop for some milliseconds at a time.

    Memory: a future for each request that waits. aiohttp has read those already.
    """

    def __init__(self) -> None:
        self._left = OPENINGS_A_TURN
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None] | None:
        """Take a place in this turn, or give what to wait for; a turn ends for us when its last place is taken."""
        if not self._left:
            place = loop.create_future()
            self._waiting.append(place)
            return place
        self._left -= 1
        if not self._left:
            loop.call_soon(self._turn, loop)
        return None

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the next ones go on; who comes in this turn has the places that are left."""
        waiting, left = self._waiting, OPENINGS_A_TURN
        while left and waiting:
            place = waiting.popleft()
            if not place.done():  # or its request was cancelled
                place.set_result(None)
                left -= 1
        self._left = left
        if not left:
            loop.call_soon(self._turn, loop)


_openings: WeakKeyDictionary[asyncio.AbstractEventLoop, Openings] = WeakKeyDictionary()


async def wait_to_open() -> None:
    """Wait for a place to open a socket in this turn of the event loop, or in a later one."""
    loop = asyncio.get_running_loop()
    try:
        openings = _openings[loop]
    except KeyError:
        openings = _openings[loop] = Openings()
    place = openings.take(loop)
    if place is not None:
        await place
