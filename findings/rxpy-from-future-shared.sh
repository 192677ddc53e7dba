#!/bin/sh
# rxpy-from-future-shared: disposing one subscription of RxPY's from_future cancels the future of all others.
#
# Expected: a subscription that is disposed wants nothing any more; the future belongs to who made it, and other
#           subscribers, and who awaits it, get its result.
# Seen:     `dispose()` cancels the future. The other subscriber gets CancelledError in `on_error`, and so does the
#           coroutine that awaits it. `timeout`, `take_until` and `switch_latest` dispose as well.
# Matters:  an answer that two parts of a program wait for, a login or a reply to a request, is lost to both when one gives
#           up. Shield it: `from_future(asyncio.shield(future))` for each subscriber.
# Versions: reactivex 6.1.0; Python 3.11.7
#
# Printed on 2026-11-29:
#   two subscribers; one disposes, then the answer comes
#   the other gets: ['CancelledError']
#   the future is cancelled: True
. "$(dirname "$0")/tools.sh"
python_with reactivex==6.1.0

run_python <<'END'
import asyncio

import reactivex
from wire import compare, versions

versions("reactivex")


async def main():
    answer = asyncio.get_running_loop().create_future()
    source = reactivex.from_future(answer)
    other = []
    one = source.subscribe(lambda _: None, lambda _: None)
    source.subscribe(other.append, lambda error: other.append(type(error).__name__))
    one.dispose()
    if not answer.done():
        answer.set_result("the answer")
    await asyncio.sleep(0)
    return other, answer.cancelled()


other, cancelled = asyncio.run(main())
print("two subscribers; one disposes, then the answer comes")
print("the other gets:", other)
print("the future is cancelled:", cancelled)
compare((other, cancelled), (["CancelledError"], True))
END
