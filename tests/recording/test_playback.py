"""Recordings as Observables."""

import asyncio
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from reactivex import operators as ops
from reactivex.disposable import Disposable
from reactivex.scheduler import TimeoutScheduler, VirtualTimeScheduler

from rxws.recording import Event, RecordedError, Recording, read, replay
from tests.streams import watch

VIRTUAL = True

RECORDING = Recording(
    [
        Event(0.0, "a", "open"),
        Event(1.0, "a", "next", 1),
        Event(2.0, "b", "next", "x"),
        Event(4.0, "a", "next", 2),
        Event(4.0, "a", "completed"),
        Event(5.0, "b", "error", RecordedError("KeyError", "no")),
    ],
    ("a", "b"),
)


@pytest.mark.parametrize(
    ("speed", "times"), [(1.0, [0, 1, 2, 4, 4, 5]), (2.0, [0, 0.5, 1, 2, 2, 2.5]), (float("inf"), [0] * 6)]
)
async def test_speed(speed: float, times: list[float]) -> None:
    """Events come when they came, or faster."""
    loop, seen = asyncio.get_running_loop(), list[Any]()
    await replay(RECORDING, speed=speed).pipe(
        ops.do_action(lambda event: seen.append((loop.time(), event))), ops.count()
    )
    assert [event for _, event in seen] == list(RECORDING.events)
    assert [time for time, _ in seen] == pytest.approx(times, abs=1e-6)


async def test_a_lane_ends_as_it_did() -> None:
    log = watch(a=replay(RECORDING, "a"), b=replay(RECORDING, "b"), c=replay(RECORDING, "c"))
    await asyncio.sleep(6)
    assert [entry for entry in log if entry[0] != "b#"] == [("a", 1), ("b", "x"), ("a", 2), "a|", "c|"]
    assert repr(log[-2]) == "('b#', KeyError('no'))"


def test_virtual_scheduler() -> None:
    """A virtual scheduler plays too, and disposing stops it."""
    scheduler = VirtualTimeScheduler()
    log: list[int] = []
    replay(RECORDING, "a").subscribe(log.append, scheduler=scheduler)
    stopped = replay(RECORDING, "a").subscribe(lambda item: (log.append(-item), stopped.dispose()), scheduler=scheduler)
    scheduler.start()
    assert log == [1, -1, 2]


def test_without_a_loop() -> None:
    """Without an event loop a recording plays on a thread."""
    log, done = list[int](), threading.Event()
    replay(RECORDING, "a", speed=1000).subscribe(log.append, on_completed=done.set)
    assert done.wait(5)
    assert log == [1, 2]


class Hasty(TimeoutScheduler):
    """Fires its first timer, in another thread, before it is given back."""

    hasty = True
    ahead = timedelta(0)

    @property
    def now(self) -> datetime:
        return super().now + self.ahead

    def schedule_relative(self, duetime: Any, action: Any, state: Any = None) -> Any:
        if not self.hasty:
            return super().schedule_relative(duetime, action, state)
        self.hasty = False
        self.ahead = duetime
        thread = threading.Thread(target=action, args=(self, state))
        thread.start()
        thread.join()
        return Disposable()


def test_hasty_timer() -> None:
    """A timer that fires before it is held does not stop the playback."""
    log, done = list[int](), threading.Event()
    replay(RECORDING, "a", speed=1000).subscribe(log.append, on_completed=done.set, scheduler=Hasty())
    assert done.wait(5)
    assert log == [1, 2]


async def test_many_events_at_once() -> None:
    """Many events at once leave others their turn."""
    done: list[int] = []
    recording = Recording([Event(0.0, "a", "next", n) for n in range(1000)])
    replay(recording, "a").subscribe(done.append)
    assert len(done) == 64
    await asyncio.sleep(0.001)
    assert len(done) == 1000


async def test_unreadable_file(tmp_path: Path) -> None:
    """A file that cannot be read on fails the Observable."""
    (tmp_path / "r.jsonl").write_text('{"recording":1,"start":null,"lanes":[],"about":{}}\nbad\n')
    with pytest.raises(ValueError, match="line 2: not an event"):
        await replay(read(tmp_path / "r.jsonl"))
    with pytest.raises(ValueError, match="speed must be a positive number, or inf, not 0"):
        replay(RECORDING, speed=0)


@pytest.mark.parametrize(("time", "speed"), [(1e300, 1.0), (1e13, 1.0), (1.0, 1e-300), (5e-324, 1.0)])
async def test_any_time_and_speed(time: float, speed: float) -> None:
    """A time that no date can count is waited for, a day at a time."""
    seen: list[Any] = []
    subscription = replay(Recording([Event(time, "a", "next", 1)]), "a", speed=speed).subscribe(seen.append)
    assert seen == [1] * (time < 1e-6)
    await asyncio.sleep(3 * 86_400)
    subscription.dispose()
