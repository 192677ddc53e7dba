#!/bin/sh
# rxpy-end-not-passed: the end of a stream does not pass RxPY's skip_until and sample; sample sends its last item late.
#
# Expected: when the source completes, what hangs on it completes: a stream of messages whose socket has closed is over.
# Seen:     `skip_until(gate)` whose gate never fired never completes. `sample(ticks)` keeps the last item and the
#           completion for the next tick, and without one it does not complete either. RxJS completes both at once,
#           and drops the last item in `sample`.
# Matters:  a handler that waits for the end of its pipeline outlives its socket, and a task for each closed socket
#           stays.
# Versions: reactivex 6.1.0; Python 3.11.7
#
# Printed on 2026-11-29:
#   the source: 1, then done
#   skip_until(never): []
#   sample(ticks): [], then at a tick: [1, 'done']
. "$(dirname "$0")/tools.sh"
python_with reactivex==6.1.0

run_python <<'END'
import reactivex
from reactivex import operators as ops
from reactivex.subject import Subject
from wire import compare, versions

versions("reactivex")


def seen_by(source):
    seen = []
    source.subscribe(seen.append, seen.append, lambda: seen.append("done"))
    return seen


source, ticks = Subject(), Subject()
skipped = seen_by(source.pipe(ops.skip_until(reactivex.never())))
sampled = seen_by(source.pipe(ops.sample(ticks)))
source.on_next(1)
source.on_completed()
before = list(sampled)
ticks.on_next("tick")
print("the source: 1, then done")
print("skip_until(never):", skipped)
print(f"sample(ticks): {before}, then at a tick: {sampled}")
compare((skipped, before, sampled), ([], [], [1, "done"]))
END
