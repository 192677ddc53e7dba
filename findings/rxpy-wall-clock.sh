#!/bin/sh
# rxpy-wall-clock: when the system's clock is put back by an hour, RxPY's throttle_first and delay emit nothing for an hour.
#
# Expected: what waits a fraction of a second on an event loop goes by its clock, which nobody can set, as asyncio and RxJS'
#           timers do. An administrator, NTP or a virtual machine that wakes may set the system's clock.
# Seen:     `AsyncIOScheduler.now` is the system's time. throttle_first compares it with that of its last item, so all items
#           are dropped until the hour has passed. delay compares it with the time at which an item is due: if one was on its
#           way, it and all behind it wait for an hour. debounce and sample go on. When the clock is put forward, a replay
#           with a window is empty at once.
# Matters:  a feed is silent, without an error, and the program that logs it has no gap in its times. Test it with a library
#           that sets the clock, or use a scheduler whose `now` is monotonic.
# Versions: reactivex 6.1.0, time-machine 3.6.0; Python 3.11.7
#
# Printed on 2026-11-30:
#                         the clock is left  an hour back  an hour forward
#   throttle_first(0.02)  [1, 2, 3, 4]       [1, 2]        [1, 2, 3, 4]
#   delay(0.02)           [1, 2, 3, 4]       [1]           [1, 2, 3, 4]
#   debounce(0.02)        [1, 2, 3, 4]       [1, 2, 3, 4]  [1, 2, 3, 4]
#   sample(0.02)          [1, 2, 3, 4]       [1, 2, 3, 4]  [1, 2, 3, 4]
#   replay, window 10 s   [1]                [1]           []
. "$(dirname "$0")/tools.sh"
python_with reactivex==6.1.0 time-machine==3.6.0

run_python <<'END'
import asyncio
from datetime import UTC, datetime

import time_machine
from reactivex import operators as ops
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.subject import ReplaySubject, Subject
from wire import compare, versions

versions("reactivex", "time-machine")
HOUR = 3600
PIPELINES = {
    "throttle_first(0.02)": ops.throttle_first(0.02),
    "delay(0.02)": ops.delay(0.02),
    "debounce(0.02)": ops.debounce(0.02),
    "sample(0.02)": ops.sample(0.02),
}


async def seen_by(operator, clock, seconds):
    """Return what comes of 1 and 2, which is on its way when the clock is set, and of 3 and 4 after it."""
    source, seen = Subject(), []
    subscription = source.pipe(operator).subscribe(
        seen.append, seen.append, scheduler=AsyncIOScheduler(asyncio.get_running_loop())
    )
    for item in (1, 2, 3, 4):
        source.on_next(item)
        if item == 2:
            clock.shift(seconds)
        await asyncio.sleep(0.2)
    subscription.dispose()
    return seen


def replayed(clock, seconds):
    """Return what one who subscribes gets after the clock was set."""
    source, seen = ReplaySubject(window=10), []
    source.on_next(1)
    clock.shift(seconds)
    source.subscribe(seen.append)
    return seen


async def main():
    seen = {}
    with time_machine.travel(datetime(2026, 11, 30, 12, tzinfo=UTC), tick=True) as clock:
        for name, operator in PIPELINES.items():
            seen[name] = [await seen_by(operator, clock, seconds) for seconds in (0, -HOUR, HOUR)]
        seen["replay, window 10 s"] = [replayed(clock, seconds) for seconds in (0, -HOUR, HOUR)]
    print(f"{'':<20}  {'the clock is left':<17}  {'an hour back':<12}  an hour forward")
    for name, (left, back, forward) in seen.items():
        print(f"{name:<20}  {left!s:<17}  {back!s:<12}  {forward}")
    return list(seen.values())


every = [1, 2, 3, 4]
compare(
    asyncio.run(main()),
    [[every, [1, 2], every], [every, [1], every], [every, every, every], [every, every, every], [[1], [1], []]],
)
END
