"""Every operator of RxPY does in real time what it does in virtual time, on each of its versions that rxws allows."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from reactivex import operators as ops

from rxws.recording import Event
from rxws.testing import MemoryWire, serve
from rxws.testing.dialing import play
from rxws.testing.marbles import Marbles
from rxws.testing.notation import FRAME, parse
from tests.rx.pipelines import SOURCE, Here, Pipeline, numbers
from tests.rx.test_pipelines import ROWS
from tests.wall_clock import WallClock, wall_clock

BOTH_LOOPS = True

__all__ = ["wall_clock"]

BY_THE_WALL_CLOCK = {"timer, from a date on": "---0---1"}
"""Each tick has a date, and the clock is put back before that of the third one."""

EMIT_TIMES = {"time_interval", "timestamp", "to_marbles"}
HOUR = 3600.0
LATE = 0.03
"""Seconds by which the event loop may be late, in a run that proves something."""


async def test_real_time(wall_clock: WallClock) -> None:
    """The same diagrams hold on an event loop that runs, while the wall clock is put back by an hour, and forward.

    Each has to do so once: on a machine that is too busy it is tried again. After five times, what came counts, and no
    longer when.
    """
    rows, tries = ROWS, list[list[tuple[Pipeline, Marbles]]]()
    for _ in range(5):
        results, late = await together(rows, wall_clock)
        tries.append(results)
        wrong = {row.name: str(result) for row, result in results if result != expected(row)}
        rows = [row for row in rows if row.name in wrong]
        if not wrong or late < LATE:
            break
    else:
        came = {row.name for results in tries for row, result in results if untimed(result) == untimed(drawn(row))}
        wrong = {name: result for name, result in wrong.items() if name not in came | EMIT_TIMES}
    assert wrong == {row.name: expected(row) for row in ROWS if row.name in wrong}


def expected(row: Pipeline) -> str:
    return BY_THE_WALL_CLOCK.get(row.name, row.expected)


def drawn(row: Pipeline) -> Marbles:
    return Marbles(parse(expected(row)).events)


def untimed(marbles: Marbles) -> Marbles:
    return Marbles(replace(event, time=0.0) for event in marbles.events)


async def together(rows: Sequence[Pipeline], wall_clock: WallClock) -> tuple[list[tuple[Pipeline, Marbles]], float]:
    """Run pipelines at the same time; tell, too, by how much the event loop was late at worst."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    lateness = asyncio.create_task(worst(over))
    begun = [await begin(row, wall_clock.now) for row in rows]
    jumps = [loop.call_later(0.55, wall_clock.put, -HOUR), loop.call_later(1.55, wall_clock.put, 2 * HOUR)]
    await asyncio.sleep(3)
    over.set()
    assert all(jump.when() < loop.time() for jump in jumps)
    for _, _, socket in begun:
        socket.dispose()
        await socket.closed
    return [(row, marbles(peer, start)) for row, (start, peer, _) in zip(rows, begun, strict=True)], await lateness


async def worst(over: asyncio.Event) -> float:
    late, last = 0.0, time.monotonic()
    while not over.is_set():
        await asyncio.sleep(0.005)
        late, last = max(late, time.monotonic() - last - 0.005), time.monotonic()
    return late


async def begin(row: Pipeline, now: Callable[[], datetime]) -> tuple[float, MemoryWire, Any]:
    """Begin one, some time after the one before, so that not all are at work at the same time."""
    await asyncio.sleep(0.001)
    start = asyncio.get_running_loop().time()
    socket, peer = serve(lambda incoming: row.make(numbers(incoming), Here(now)).pipe(ops.map(str)))
    play(peer, parse(SOURCE), socket._life.settings.codec_for(None), lambda: None)
    return start, peer, socket


def marbles(peer: MemoryWire, start: float) -> Marbles:
    """Draw what a peer has got, each at its frame."""
    seen = {"message": "next", "close": "close"}
    return Marbles(
        Event(round((at - start) / FRAME) * FRAME, "outgoing", seen[what], data)
        for at, what, data in peer.log
        if what in seen and at - start < 2.9
    )
