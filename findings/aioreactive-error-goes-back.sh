#!/bin/sh
# aioreactive-error-goes-back: in aioreactive, what an operator's function raises goes to the sender, not to the observer.
#
# Expected: as in ReactiveX, a `map` whose function raises fails: its observer gets the error, the subject and its other
#           observers go on.
# Seen:     `await subject.asend(item)` raises it, the observer of the `map` hears nothing, and an observer that has
#           subscribed later misses the item.
# Matters:  a reader of a WebSocket that feeds the subject ends with the error of one of its consumers.
# Versions: aioreactive 0.20.0, Expression 5.8.0; Python 3.11.7
#
# Printed on 2026-12-01:
#   the sender of 0: ZeroDivisionError
#   the observer of the map: [0.5, 0.25]
#   another observer: [2, 4]
. "$(dirname "$0")/tools.sh"
python_with aioreactive==0.20.0 Expression==5.8.0

run_python <<'END'
import asyncio

from aioreactive import AsyncAnonymousObserver, AsyncRx, AsyncSubject
from wire import compare, versions

versions("aioreactive", "Expression")
seen = {"the observer of the map": [], "another observer": []}


def noting(name):
    async def note(item):
        seen[name].append(item)

    async def fail(error):
        seen[name].append(type(error).__name__)

    return AsyncAnonymousObserver(note, fail)


async def main():
    subject = AsyncSubject()
    await AsyncRx.create(subject).map(lambda item: 1 / item).subscribe_async(noting("the observer of the map"))
    await subject.subscribe_async(noting("another observer"))
    for item in (2, 0, 4):
        try:
            await subject.asend(item)
        except Exception as error:
            seen[f"the sender of {item}"] = type(error).__name__


asyncio.run(main())
for name in ("the sender of 0", "the observer of the map", "another observer"):
    print(f"{name}: {seen.get(name)}")
compare(
    seen,
    {"the sender of 0": "ZeroDivisionError", "the observer of the map": [0.5, 0.25], "another observer": [2, 4]},
)
END
