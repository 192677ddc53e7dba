#!/bin/sh
# rxpy-share-after-error: after an error, RxPY's share() opens its source again and throws away what comes from it.
#
# Expected: `source.pipe(share(), retry(3))` is a shared connection that is opened again after an error, as in RxJS,
#           whose `share` begins anew after the end.
# Seen:     the second attempt succeeds, and its item goes nowhere: `share()` keeps the Subject that ended with the first
#           error, so each new subscriber gets that error at once and leaves, and the good connection is closed again.
#           The subscriber sees error 1 after three connections. Who subscribes an hour later opens one, and gets
#           error 1.
# Matters:  a shared feed that failed once stays failed, while the server sees connections that come and go at once.
#           Put `retry` before `share`.
# Versions: reactivex 6.1.0; Python 3.11.7
#
# Printed on 2026-11-29:
#   only the first connection fails
#   share(), retry(3): [1, 'error 1'] and the source: open 1, closed 1, open 2, closed 2, open 3, closed 3
#   a late subscriber: ['error 1'] and the source: open 4, closed 4
#   retry(3), share(): [1, 2] and the source: open 1, closed 1, open 2
. "$(dirname "$0")/tools.sh"
python_with reactivex==6.1.0

run_python <<'END'
import reactivex
from reactivex import operators as ops
from reactivex.disposable import Disposable
from wire import compare, versions

versions("reactivex")


def connection():
    """Fails at the first subscription, stays open at each further one."""
    log, opened = [], []

    def subscribe(observer, scheduler=None):
        opened.append(1)
        number = len(opened)
        log.append(f"open {number}")
        observer.on_next(number)
        if number == 1:
            observer.on_error(ConnectionError(number))
        return Disposable(lambda: log.append(f"closed {number}"))

    return reactivex.create(subscribe), log


def seen_by(source):
    seen = []
    source.subscribe(seen.append, lambda error: seen.append(f"error {error}"), lambda: seen.append("done"))
    return seen


source, log = connection()
shared = source.pipe(ops.share())
first, first_log = seen_by(shared.pipe(ops.retry(3))), list(log)
late, late_log = seen_by(shared), log[len(first_log) :]
source, log = connection()
other = seen_by(source.pipe(ops.retry(3), ops.share()))
print("only the first connection fails")
print(f"share(), retry(3): {first} and the source:", ", ".join(first_log))
print(f"a late subscriber: {late} and the source:", ", ".join(late_log))
print(f"retry(3), share(): {other} and the source:", ", ".join(log))
compare(
    (first, first_log, late, late_log, other, log),
    (
        [1, "error 1"],
        ["open 1", "closed 1", "open 2", "closed 2", "open 3", "closed 3"],
        ["error 1"],
        ["open 4", "closed 4"],
        [1, 2],
        ["open 1", "closed 1", "open 2"],
    ),
)
END
