"""Dates, on an event loop that runs: what the wall clock says of them."""

import asyncio
from datetime import datetime, timedelta

import pytest

from rxws.rx.loop_thread import LoopThread
from rxws.rx.scheduler import LoopScheduler
from tests.wall_clock import WallClock, wall_clock

BOTH_LOOPS = True
HOUR = 3600.0

__all__ = ["wall_clock"]


async def test_dates_of_other_time_zones(wall_clock: WallClock) -> None:
    """A date has a time zone; which one does not matter."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()))
    wall_clock.put(HOUR)
    date = wall_clock.now()
    moments = [scheduler.to_datetime(date), scheduler.to_datetime(date.astimezone()), scheduler.to_datetime(date)]
    assert max(moments) - min(moments) < timedelta(seconds=1)
    assert abs(scheduler.now - moments[0]) < timedelta(seconds=1)


async def test_date_without_time_zone() -> None:
    """Nobody can say when a date without a time zone is due, and the error says how to make another."""
    scheduler = LoopScheduler(LoopThread(asyncio.get_running_loop()))
    with pytest.raises(TypeError, match=r"2027-01-02 00:00:00 has no time zone: use datetime\.now\(UTC\)"):
        scheduler.schedule_absolute(datetime(2027, 1, 2), lambda *_: None)
