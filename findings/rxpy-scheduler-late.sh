#!/bin/sh
# rxpy-scheduler-late: with an asyncio scheduler, RxPY's merge, start_with and retry subscribe late, and lose the first items.
#
# Expected: `subscribe(..., scheduler=AsyncIOScheduler(loop))` tells the operators that wait, such as delay, to wait on the
#           event loop. Who has subscribed to `merge(a, b)` gets what `a` emits from then on, as without a scheduler.
# Seen:     with the scheduler, `subscribe()` returns before merge, concat, start_with, retry, repeat, catch and expand have
#           subscribed to their source: they do so in a later turn of the event loop. What a hot stream emits until then is
#           lost, without an error. `with_latest_from(of(1))` loses it, too, since its 1 comes a turn later.
# Matters:  RxPY's operators wait on threads unless they get this scheduler, so a program on asyncio passes it to
#           `subscribe`, and misses what its feed sends first. Pass it to the operators that wait instead.
# Versions: reactivex 6.1.0; Python 3.11.7
#
# Printed on 2026-11-30:
#   a Subject emits 'first' behind subscribe(), 'second' in a later turn
#                                        without a scheduler    AsyncIOScheduler
#   merge(never())                       first second           second
#   concat(never())                      first second           second
#   start_with('snapshot')               snapshot first second  snapshot second
#   retry(3)                             first second           second
#   repeat(3)                            first second           second
#   catch(never())                       first second           second
#   expand(lambda _: empty())            first second           second
#   with_latest_from(of(1)), map(first)  first second           second
#   share()                              first second           first second
#   delay(0.01, scheduler) and merge, without a scheduler in subscribe(): first second
. "$(dirname "$0")/tools.sh"
python_with reactivex==6.1.0

run_python <<'END'
import asyncio

import reactivex
from reactivex import operators as ops
from reactivex.scheduler.eventloop import AsyncIOScheduler
from reactivex.subject import Subject
from wire import compare, versions

versions("reactivex")
PIPELINES = {
    "merge(never())": [ops.merge(reactivex.never())],
    "concat(never())": [ops.concat(reactivex.never())],
    "start_with('snapshot')": [ops.start_with("snapshot")],
    "retry(3)": [ops.retry(3)],
    "repeat(3)": [ops.repeat(3)],
    "catch(never())": [ops.catch(reactivex.never())],
    "expand(lambda _: empty())": [ops.expand(lambda _: reactivex.empty())],
    "with_latest_from(of(1)), map(first)": [ops.with_latest_from(reactivex.of(1)), ops.map(lambda pair: pair[0])],
    "share()": [ops.share()],
}


async def seen_by(operators, scheduler=None):
    source, seen = Subject(), []
    subscription = source.pipe(*operators).subscribe(seen.append, seen.append, scheduler=scheduler)
    source.on_next("first")
    await asyncio.sleep(0.05)
    source.on_next("second")
    await asyncio.sleep(0.05)
    subscription.dispose()
    return " ".join(map(str, seen))


async def main():
    scheduler = AsyncIOScheduler(asyncio.get_running_loop())
    seen = {name: (await seen_by(pipe), await seen_by(pipe, scheduler)) for name, pipe in PIPELINES.items()}
    print("a Subject emits 'first' behind subscribe(), 'second' in a later turn")
    print(f"{'':<35}  {'without a scheduler':<21}  AsyncIOScheduler")
    for name, (plain, late) in seen.items():
        print(f"{name:<35}  {plain:<21}  {late}")
    waits = [ops.delay(0.01, scheduler), ops.merge(reactivex.never())]
    apart = await seen_by(waits)
    print("delay(0.01, scheduler) and merge, without a scheduler in subscribe():", apart)
    return list(seen.values()), apart


both, second = "first second", "second"
late = (both, second)
snapshot = ("snapshot first second", "snapshot second")
compare(asyncio.run(main()), ([late, late, snapshot, late, late, late, late, late, (both, both)], both))
