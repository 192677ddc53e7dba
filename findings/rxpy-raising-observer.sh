#!/bin/sh
# rxpy-raising-observer: an observer that raises takes the item away from those who subscribed after it.
#
# Expected: subscribers of a Subject know nothing of each other: one that fails leaves the others their item, and the
#           error goes to its own `on_error`, or to a handler of unhandled errors, as in RxJS.
# Seen:     the exception leaves `on_next` at the producer. Who subscribed earlier has the item, who subscribed later
#           does not; `on_error` of nobody is called, `catch` and `retry` see nothing, and the next item goes to all.
# Matters:  one faulty chart, log or room makes holes in the others' data, and which ones depends on the order of their
#           subscriptions. In a WebSocket handler the exception ends the loop that reads the socket.
# Versions: reactivex 6.1.0; Python 3.11.7
#
# Printed on 2026-11-29:
#   on_next(1) raises ZeroDivisionError at the producer, on_next(2) nothing
#   earlier: [1, 2]
#   raising: [2], its on_error: []
#   later:   [2]
. "$(dirname "$0")/tools.sh"
python_with reactivex==6.1.0

run_python <<'END'
from reactivex.subject import Subject
from wire import compare, versions

versions("reactivex")
messages = Subject()
earlier, raising, later, errors = [], [], [], []


def fails_once(item):
    if item == 1:
        raise ZeroDivisionError
    raising.append(item)


messages.subscribe(earlier.append)
messages.subscribe(fails_once, errors.append)
messages.subscribe(later.append)
raised = []
for item in (1, 2):
    try:
        messages.on_next(item)
        raised.append("nothing")
    except ZeroDivisionError as error:
        raised.append(type(error).__name__)
print(f"on_next(1) raises {raised[0]} at the producer, on_next(2) {raised[1]}")
print("earlier:", earlier)
print(f"raising: {raising}, its on_error: {errors}")
print("later:  ", later)
compare(
    (raised, earlier, raising, errors, later), (["ZeroDivisionError", "nothing"], [1, 2], [2], [], [2])
)
END
