#!/bin/sh
# rxpy-hot-skips: of a stream of reactivex.hot(), one subscriber that leaves takes the item, or the end, from another one.
#
# Expected: `reactivex.hot("--a-b-|")` makes a stream that all of its subscribers share: each gets a, b and the end.
# Seen:     it walks over its list of subscribers while they remove themselves from it, so whoever stands behind one that
#           leaves is passed over. With `take(1)` in front, the next subscriber never gets a. At the end everyone leaves, and
#           every other subscriber is not told: with four, two wait for ever. Subject and TestScheduler's own hot stream
#           tell all.
# Matters:  a test with marbles and two subscribers shows an item that is lost, or a pipeline that never completes, and the
#           fault is the test's source. merge, zip or with_latest_from of a stream with itself are two subscribers. Use
#           `TestScheduler().create_hot_observable(...)`.
# Versions: reactivex 6.1.0; Python 3.11.7
#
# Printed on 2026-11-30:
#   reactivex.hot, take(1) and two others: ['a|', 'b|', 'ab']
#   reactivex.hot, four subscribers: ['ab|', 'ab', 'ab|', 'ab']
#   reactivex.hot, its first item merged with it: 'ab|'
#   create_hot_observable, take(1) and two others: ['a|', 'ab|', 'ab|']
#   create_hot_observable, four subscribers: ['ab|', 'ab|', 'ab|', 'ab|']
#   create_hot_observable, its first item merged with it: 'aab|'
. "$(dirname "$0")/tools.sh"
python_with reactivex==6.1.0

run_python <<'END'
import reactivex
from reactivex import operators as ops
from reactivex.testing import ReactiveTest, TestScheduler
from wire import compare, versions

versions("reactivex")


def by_marbles(scheduler):
    return reactivex.hot("--a-b-|", timespan=1.0, scheduler=scheduler)


def by_messages(scheduler):
    return scheduler.create_hot_observable(
        ReactiveTest.on_next(2.0, "a"), ReactiveTest.on_next(4.0, "b"), ReactiveTest.on_completed(6.0)
    )


def seen_by(make, *pipelines):
    """Return what each subscriber got, in the order in which they subscribed."""
    scheduler = TestScheduler()
    source = make(scheduler)
    seen = [[] for _ in pipelines]
    for log, operators in zip(seen, pipelines, strict=True):
        source.pipe(*operators).subscribe(log.append, log.append, lambda log=log: log.append("|"))
    super(TestScheduler, scheduler).start()
    return ["".join(log) for log in seen]


def with_itself(make):
    """Return what comes of a stream that is merged with its own first item."""
    scheduler, log = TestScheduler(), []
    source = make(scheduler)
    first = source.pipe(ops.take(1))
    reactivex.merge(first, source).subscribe(log.append, log.append, lambda: log.append("|"))
    super(TestScheduler, scheduler).start()
    return "".join(log)


seen = []
for make, name in [(by_marbles, "reactivex.hot"), (by_messages, "create_hot_observable")]:
    one = seen_by(make, [ops.take(1)], [], [])
    four = seen_by(make, [], [], [], [])
    merged = with_itself(make)
    print(f"{name}, take(1) and two others: {one}")
    print(f"{name}, four subscribers: {four}")
    print(f"{name}, its first item merged with it: {merged!r}")
    seen.append((one, four, merged))
compare(
    seen,
    [
        (["a|", "b|", "ab"], ["ab|", "ab", "ab|", "ab"], "ab|"),
        (["a|", "ab|", "ab|"], ["ab|"] * 4, "aab|"),
    ],
)
END
