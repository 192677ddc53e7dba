#!/bin/sh
# rxpy-take-until-source-first: RxPY's take_until lets the item through that ends the stream, and opens one that is over.
#
# Expected: take_until listens for the end before it opens its source, as in RxJS. `messages` until the first "stop" among
#           `messages` are those before it. If the end is there already, the source is not opened at all.
# Seen:     it opens its source first. "stop" reaches the subscriber, and then comes the end. A source that is to be opened
#           until `closed` is opened although `closed` has its value, and what it emits at once gets through. skip_until is
#           the same: "go" is skipped, where RxJS begins with it.
# Matters:  one pipeline, moved from RxJS, handles one message more, or less, at each cut. A request that should not be made
#           after the end is made: what opens it must ask for the end by itself. To leave the mark out, use
#           `take_while(lambda message: message != "stop")`.
# Versions: reactivex 6.1.0, rxjs 7.8.2; Python 3.11.7, Node 20.20.2
#
# Printed on 2026-11-30:
#   RxPY, take_until "stop" of the same stream a, stop, b: a stop done
#   RxJS, takeUntil "stop" of the same stream a, stop, b: a done
#   RxPY, skip_until "go" of the same stream a, go, b: b
#   RxJS, skipUntil "go" of the same stream a, go, b: go b
#   RxPY, take_until what is over already: opened item done closed
#   RxJS, takeUntil what is over already: done
. "$(dirname "$0")/tools.sh"
python_with reactivex==6.1.0
npm install --prefix "$folder" --silent --no-audit --no-fund --no-package-lock rxjs@7.8.2
cat > rxjs.mjs <<'END'
import { BehaviorSubject, Observable, Subject, filter, skipUntil, takeUntil } from "rxjs";

const seenBy = (open, ...items) => {
  const [source, seen] = [new Subject(), []];
  open(source, seen).subscribe({ next: (item) => seen.push(item), complete: () => seen.push("done") });
  for (const item of items) source.next(item);
  return seen.join(" ");
};
const mark = (source, item) => source.pipe(filter((other) => other === item));
const opened = (seen) =>
  new Observable((observer) => {
    seen.push("opened");
    observer.next("item");
    return () => seen.push("closed");
  });
console.log(seenBy((source) => source.pipe(takeUntil(mark(source, "stop"))), "a", "stop", "b"));
console.log(seenBy((source) => source.pipe(skipUntil(mark(source, "go"))), "a", "go", "b"));
console.log(seenBy((_, seen) => opened(seen).pipe(takeUntil(new BehaviorSubject(true)))));
END

run_python <<'END'
import subprocess

import reactivex
from reactivex import operators as ops
from reactivex.subject import BehaviorSubject, Subject
from wire import compare, versions

versions("reactivex")


def seen_by(open_, *items):
    source, seen = Subject(), []
    open_(source, seen).subscribe(seen.append, seen.append, lambda: seen.append("done"))
    for item in items:
        source.on_next(item)
    return " ".join(seen)


def mark(source, item):
    return source.pipe(ops.filter(lambda other: other == item))


def opened(seen):
    def subscribe(observer, scheduler=None):
        seen.append("opened")
        observer.on_next("item")
        return lambda: seen.append("closed")

    return reactivex.create(subscribe)


rxpy = [
    seen_by(lambda source, _: source.pipe(ops.take_until(mark(source, "stop"))), "a", "stop", "b"),
    seen_by(lambda source, _: source.pipe(ops.skip_until(mark(source, "go"))), "a", "go", "b"),
    seen_by(lambda _, seen: opened(seen).pipe(ops.take_until(BehaviorSubject(True)))),
]
rxjs = subprocess.check_output(["node", "rxjs.mjs"], text=True).splitlines()
what = [
    ("take_until", "takeUntil", '"stop" of the same stream a, stop, b'),
    ("skip_until", "skipUntil", '"go" of the same stream a, go, b'),
    ("take_until", "takeUntil", "what is over already"),
]
for (snake, camel, about), python, javascript in zip(what, rxpy, rxjs, strict=True):
    print(f"RxPY, {snake} {about}: {python}")
    print(f"RxJS, {camel} {about}: {javascript}")
compare((rxpy, rxjs), (["a stop done", "b", "opened item done closed"], ["a done", "go b", "done"]))
END
