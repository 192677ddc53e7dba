"""The wall clock is set while pipelines run: time goes on."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import reactivex
from reactivex import operators as ops
from reactivex.scheduler import CurrentThreadScheduler

from rxws.recording import Event, Recording, replay
from rxws.rx.loop_thread import LoopThread
from rxws.rx.scheduler import LoopScheduler
from rxws.testing import run, serve
from tests.streams import ended, turns
from tests.wall_clock import WallClock, wall_clock

BOTH_LOOPS = True
HOUR = 3600.0
Eventually = Callable[..., Any]
JUMPS = pytest.mark.parametrize("jump", [-HOUR, HOUR], ids=["back", "forward"])

__all__ = ["wall_clock"]


@JUMPS
async def test_throttle_first(jump: float, wall_clock: WallClock) -> None:
    """The window of `throttle_first` is neither longer nor shorter."""
    _, peer = serve(lambda incoming: incoming.pipe(ops.throttle_first(0.2)))
    began = time.monotonic()
    peer.send("a")
    wall_clock.put(jump)
    peer.send("too early")
    paused = time.monotonic() - began > 0.2  # by the machine, so it was in time
    await asyncio.sleep(0.25)
    peer.send("b")
    await turns()
    assert peer.sent == ["a", "b"] or (paused and peer.sent == ["a", "too early", "b"])


@JUMPS
@pytest.mark.parametrize("first", ["scheduled", "jump"])
async def test_dates(jump: float, first: str, wall_clock: WallClock, eventually: Eventually) -> None:
    """A date is due when the wall clock that it was made by shows it."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()))
    if first == "jump":
        wall_clock.put(jump)
    due = wall_clock.now() + timedelta(seconds=0.4)
    log: list[str] = []
    reactivex.timer(due).subscribe(lambda _: log.append("timer"), scheduler=scheduler)
    scheduler.schedule_absolute(due.timestamp(), lambda *_: log.append("seconds"))
    reactivex.of("delay").pipe(ops.delay(due)).subscribe(log.append, scheduler=scheduler)
    reactivex.never().pipe(ops.take_until_with_time(due)).subscribe(
        on_completed=lambda: log.append("take"), scheduler=scheduler
    )
    if first == "scheduled":
        wall_clock.put(jump)
    await asyncio.sleep(0.05)
    assert log == [] or wall_clock.now() >= due
    await eventually(lambda: sorted(log) == ["delay", "seconds", "take", "timer"])


def test_dates_in_virtual_time() -> None:
    """Virtual time begins in 1970, and so do its dates."""
    due = datetime.fromtimestamp(0.3, UTC)
    assert run(lambda: reactivex.timer(due).pipe(ops.map(str))) == "---(0 close 1000)"


async def test_timestamps_are_of_the_wall_clock() -> None:
    """What `timestamp` gives is the time of day, in UTC, and a codec can write it."""
    _, peer = serve(lambda incoming: incoming.pipe(ops.timestamp(), ops.map(lambda item: item.timestamp.isoformat())))
    peer.send("a")
    await turns()
    at = datetime.fromisoformat(str(peer.sent[0]))
    assert at.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - at) < timedelta(seconds=5)


async def test_now_goes_on_in_threads(wall_clock: WallClock) -> None:
    """A thread sees time go on while the event loop waits."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()))

    def measure() -> float:
        began = scheduler.now
        wall_clock.put(-HOUR)
        while (passed := (scheduler.now - began).total_seconds()) < 0.05:
            pass
        return passed

    assert 0.05 <= await asyncio.wait_for(asyncio.to_thread(measure), 5) < 1


async def test_order_at_once(wall_clock: WallClock) -> None:
    """Work of the event loop's scheduler and of RxPY's own runs in the order in which it was asked for."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()))
    log: list[str] = []
    scheduler.schedule(lambda *_: log.append("before"))
    wall_clock.put(-HOUR)

    def action(*_: Any) -> None:
        scheduler.schedule(lambda *_: log.append("ours"))
        CurrentThreadScheduler.singleton().schedule(lambda *_: log.append("RxPY's"))

    scheduler.schedule(action)
    assert log == ["before", "ours", "RxPY's"]


@JUMPS
async def test_message_rate(jump: float, wall_clock: WallClock) -> None:
    """The allowance of a peer grows by what has passed."""
    socket, peer = serve(lambda incoming: incoming, message_rate=20)
    for _ in range(20):
        peer.send("a")
    wall_clock.put(jump)
    await asyncio.sleep(0.2)
    for _ in range(3):
        peer.send("a")
    await turns()
    assert len(peer.sent) == 23
    for _ in range(40):
        peer.send("a")
    assert (await ended(socket)).code == 1008


@JUMPS
async def test_deadlines(jump: float, wall_clock: WallClock) -> None:
    """Heartbeats and deadlines come when they are due."""
    socket, peer = serve(lambda incoming: incoming, heartbeat=0.2)
    peer.pongs = False
    wall_clock.put(jump)
    await asyncio.sleep(0.1)
    assert socket.stats.duration < 5
    assert (await ended(socket)).code == 1006
    assert 0.3 < socket.stats.duration < 5


@JUMPS
async def test_replay(jump: float, wall_clock: WallClock, eventually: Eventually) -> None:
    """A recording is played at its own pace."""
    played: list[int] = []
    replay(Recording([Event(0.0, "a", "next", 1), Event(0.4, "a", "next", 2)]), "a").subscribe(played.append)
    began = time.monotonic()
    wall_clock.put(jump)
    await asyncio.sleep(0.05)
    assert played == [1] or time.monotonic() - began > 0.4
    await eventually(lambda: played == [1, 2])
