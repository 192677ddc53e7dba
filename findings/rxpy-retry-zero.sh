#!/bin/sh
# rxpy-retry-zero: RxPY's retry(0) completes without ever subscribing; retry(n) counts attempts, not retries.
#
# Expected: `retry(0)` is the source itself, with no retries: one attempt, and its error, as in RxJS. `retry(3)` retries
#           three times: four attempts.
# Seen:     `retry(0)` completes at once, and the source is not subscribed to: no item, no error. `retry(1)` does not
#           retry, `retry(3)` makes three attempts.
# Matters:  a number of retries from a setting, where 0 means "do not retry", turns the connection off, and looks like a
#           stream that ended well.
# Versions: reactivex 6.1.0; Python 3.11.7
#
# Printed on 2026-11-29:
#   retry(0): 0 attempts, seen: ['done']
#   retry(1): 1 attempts, seen: ['error 1']
#   retry(3): 3 attempts, seen: ['error 3']
. "$(dirname "$0")/tools.sh"
python_with reactivex==6.1.0

run_python <<'END'
import reactivex
from reactivex import operators as ops
from wire import compare, versions

versions("reactivex")
seen = {}
for count in (0, 1, 3):
    attempts, lines = [], []

    def subscribe(observer, scheduler=None):
        attempts.append(1)
        observer.on_error(ConnectionError(len(attempts)))

    reactivex.create(subscribe).pipe(ops.retry(count)).subscribe(
        lines.append, lambda error: lines.append(f"error {error}"), lambda: lines.append("done")
    )
    seen[count] = len(attempts), lines
    print(f"retry({count}): {len(attempts)} attempts, seen: {lines}")
compare(seen, {0: (0, ["done"]), 1: (1, ["error 1"]), 3: (3, ["error 3"])})
END
