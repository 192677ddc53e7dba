#!/bin/sh
# rxpy-buffer-ends-with-boundaries: RxPY's buffer and window complete when their boundaries do, though the source goes on.
#
# Expected: `buffer(boundaries)` cuts a stream at each item of another one. Once that has ended, there is nothing to cut at:
#           what comes is in the last buffer, emitted when the source completes, as in RxJS.
# Seen:     the completion of the boundaries is a boundary, and the end of the result: `buffer` and `window` complete, and
#           unsubscribe from the source. What the source emits later is lost, and no error tells.
# Matters:  a recorder that cuts one feed at the marks of another ends with that other socket, and looks as if its own
#           feed had ended. Let the boundaries never complete: `boundaries.pipe(concat(reactivex.never()))`.
# Versions: reactivex 6.1.0, rxjs 7.8.2; Python 3.11.7, Node 20.20.2
#
# Printed on 2026-11-30:
#   1, boundary, 2, the boundaries complete, 3, the source completes
#   RxPY buffer: [[1], [2], 'done'], the source is subscribed to: False
#   RxPY window: [[1], [2], 'done'], the source is subscribed to: False
#   RxPY buffer, boundaries that never complete: [[1], [2, 3], 'done']
#   RxJS buffer: [[1],[2,3],"done"]
. "$(dirname "$0")/tools.sh"
python_with reactivex==6.1.0
npm install --prefix "$folder" --silent --no-audit --no-fund --no-package-lock rxjs@7.8.2
cat > rxjs.mjs <<'END'
import { Subject, buffer } from "rxjs";

const [source, boundaries, seen] = [new Subject(), new Subject(), []];
source.pipe(buffer(boundaries)).subscribe({ next: (items) => seen.push(items), complete: () => seen.push("done") });
source.next(1);
boundaries.next("boundary");
source.next(2);
boundaries.complete();
source.next(3);
source.complete();
console.log(JSON.stringify(seen));
END

run_python <<'END'
import subprocess

import reactivex
from reactivex import operators as ops
from reactivex.subject import Subject
from wire import compare, versions

versions("reactivex")


def seen_by(*operators, endless=False):
    """Return what comes out, and whether the source still has a subscriber after the boundaries have completed."""
    source, boundaries, seen = Subject(), Subject(), []
    cuts = boundaries.pipe(ops.concat(reactivex.never())) if endless else boundaries
    source.pipe(*(operator(cuts) for operator in operators)).subscribe(
        seen.append, seen.append, lambda: seen.append("done")
    )
    source.on_next(1)
    boundaries.on_next("boundary")
    source.on_next(2)
    boundaries.on_completed()
    subscribed = bool(source.observers)
    source.on_next(3)
    source.on_completed()
    return seen, subscribed


buffer = seen_by(ops.buffer)
window = seen_by(ops.window, lambda _: ops.flat_map(lambda items: items.pipe(ops.to_list())))
endless, _ = seen_by(ops.buffer, endless=True)
rxjs = subprocess.check_output(["node", "rxjs.mjs"], text=True).strip()
print("1, boundary, 2, the boundaries complete, 3, the source completes")
for name, (seen, subscribed) in {"buffer": buffer, "window": window}.items():
    print(f"RxPY {name}: {seen}, the source is subscribed to: {subscribed}")
print("RxPY buffer, boundaries that never complete:", endless)
print("RxJS buffer:", rxjs)
early = ([[1], [2], "done"], False)
compare((buffer, window, endless, rxjs), (early, early, [[1], [2, 3], "done"], '[[1],[2,3],"done"]'))
END
