"""How many sockets open in one turn of the event loop."""

from __future__ import annotations

import asyncio

import pytest

from rxws.server.openings import OPENINGS_A_TURN, wait_to_open


async def turn() -> None:
    await asyncio.sleep(0)


async def test_a_crowd_opens_in_order() -> None:
    """Of a crowd, some open at once, and as many in each turn; who gives up takes nobody's place."""
    opened: list[int] = []

    async def request(number: int) -> None:
        await wait_to_open()
        opened.append(number)

    crowd = [asyncio.create_task(request(number)) for number in range(3 * OPENINGS_A_TURN)]
    await turn()
    assert opened == [*range(OPENINGS_A_TURN)]
    crowd[OPENINGS_A_TURN].cancel()
    seen: list[int] = []
    while not all(task.done() for task in crowd):
        before = len(opened)
        await turn()
        seen.append(len(opened) - before)
    assert opened == [number for number in range(3 * OPENINGS_A_TURN) if number != OPENINGS_A_TURN]
    assert max(seen) <= OPENINGS_A_TURN


async def test_nobody_waits_in_quiet_times() -> None:
    """A few requests at a time have their places at once, turn after turn; the next one, after a turn."""
    places = OPENINGS_A_TURN
    for _ in range(5):
        for _ in range(places):
            waiting = wait_to_open()
            with pytest.raises(StopIteration):
                waiting.send(None)
        await wait_to_open()
        places = OPENINGS_A_TURN - 1  # since that one has one
        for _ in range(3):
            await turn()
