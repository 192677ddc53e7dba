#!/bin/sh
# rxpy-partition-second-half: of what a source emits at once, the second half of RxPY's partition gets nothing.
#
# Expected: `even, odd = source.pipe(partition(is_even))` are two filters: what is odd comes from `odd`, as in RxJS.
# Seen:     the halves share one subscription, which begins with the first subscriber. What the source emits while it is
#           subscribed to is gone when the second half is: the value of a BehaviorSubject, a snapshot, a cold sequence as a
#           whole. If the source has completed by then, it is opened a second time, and all that comes is thrown away.
# Matters:  it depends on the order of two lines which half is complete. Late messages are sorted well, so only the first is
#           missed: the state that a feed sends at once. Use two filters, or `publish()`, and `connect()` behind both
#           subscriptions.
# Versions: reactivex 6.1.0, rxjs 7.8.2; Python 3.11.7, Node 20.20.2
#
# Printed on 2026-11-30:
#   a BehaviorSubject of 1, then 2 and 3
#     RxPY, partition: even 2, odd 3
#     RxJS, partition: even 2, odd 1 3
#     RxPY, two filters: even 2, odd 1 3
#   a cold sequence of 1 to 4
#     RxPY, partition: even 2 4 |, odd |, opened 2 times
#     RxJS, partition: even 2 4 |, odd 1 3 |, opened 2 times
#     RxPY, two filters: even 2 4 |, odd 1 3 |, opened 2 times
. "$(dirname "$0")/tools.sh"
python_with reactivex==6.1.0
npm install --prefix "$folder" --silent --no-audit --no-fund --no-package-lock rxjs@7.8.2
cat > rxjs.mjs <<'END'
import { BehaviorSubject, Observable, partition } from "rxjs";

const halves = (source) => partition(source, (item) => item % 2 === 0);
const watch = (half, seen) => half.subscribe({ next: (item) => seen.push(item), complete: () => seen.push("|") });

const state = new BehaviorSubject(1), [even, odd] = [[], []];
halves(state).forEach((half, i) => watch(half, [even, odd][i]));
state.next(2);
state.next(3);
console.log(`even ${even.join(" ")}, odd ${odd.join(" ")}`);

let opened = 0;
const cold = new Observable((observer) => {
  opened++;
  [1, 2, 3, 4].forEach((item) => observer.next(item));
  observer.complete();
});
const [evens, odds] = [[], []];
halves(cold).forEach((half, i) => watch(half, [evens, odds][i]));
console.log(`even ${evens.join(" ")}, odd ${odds.join(" ")}, opened ${opened} times`);
END

run_python <<'END'
import subprocess

import reactivex
from reactivex import operators as ops
from reactivex.subject import BehaviorSubject
from wire import compare, versions

versions("reactivex")


def is_even(item):
    return item % 2 == 0


def two_filters(source):
    return [source.pipe(ops.filter(is_even)), source.pipe(ops.filter(lambda item: not is_even(item)))]


def partition(source):
    return source.pipe(ops.partition(is_even))


def of_state(halves):
    """Return what the halves of a BehaviorSubject of 1 get, which then emits 2 and 3."""
    state, even, odd = BehaviorSubject(1), [], []
    for half, seen in zip(halves(state), (even, odd), strict=True):
        half.subscribe(seen.append)
    state.on_next(2)
    state.on_next(3)
    return f"even {' '.join(map(str, even))}, odd {' '.join(map(str, odd))}"


def of_cold(halves):
    """Return what the halves of a cold 1 to 4 get."""
    opened, even, odd = [], [], []

    def subscribe(observer, scheduler=None):
        opened.append(1)
        for item in (1, 2, 3, 4):
            observer.on_next(item)
        observer.on_completed()

    for half, seen in zip(halves(reactivex.create(subscribe)), (even, odd), strict=True):
        half.subscribe(seen.append, seen.append, lambda seen=seen: seen.append("|"))
    return f"even {' '.join(map(str, even))}, odd {' '.join(map(str, odd))}, opened {len(opened)} times"


rxjs = subprocess.check_output(["node", "rxjs.mjs"], text=True).splitlines()
seen = [
    ["a BehaviorSubject of 1, then 2 and 3", of_state(partition), rxjs[0], of_state(two_filters)],
    ["a cold sequence of 1 to 4", of_cold(partition), rxjs[1], of_cold(two_filters)],
]
for source, rxpy, javascript, filters in seen:
    print(source)
    print(f"  RxPY, partition: {rxpy}")
    print(f"  RxJS, partition: {javascript}")
    print(f"  RxPY, two filters: {filters}")
state, cold = "even 2, odd 1 3", "even 2 4 |, odd 1 3 |, opened 2 times"
compare(
    [row[1:] for row in seen],
    [["even 2, odd 3", state, state], ["even 2 4 |, odd |, opened 2 times", cold, cold]],
)
END
