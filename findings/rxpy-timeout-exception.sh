#!/bin/sh
# rxpy-timeout-exception: the error of RxPY's timeout is a bare Exception, which no `except TimeoutError` catches.
#
# Expected: `timeout(seconds)` fails with TimeoutError, as asyncio and concurrent.futures do in Python, and as RxJS does with
#           its own TimeoutError.
# Seen:     `on_error` gets `Exception("Timeout")`, of no class of its own. `await stream.pipe(timeout(...))` raises it.
# Matters:  a handler that treats silence apart from errors (`except TimeoutError`, `isinstance` in `catch`) never runs, and
#           the exception goes where the unexpected ones go. Give `timeout` a second argument:
#           `timeout(5, reactivex.throw(TimeoutError()))`.
# Versions: reactivex 6.1.0; Python 3.11.7
#
# Printed on 2026-11-30:
#   await never().pipe(timeout(0.05)): Exception('Timeout'), a TimeoutError: False
#   with throw(TimeoutError()) as second argument, a TimeoutError: True
. "$(dirname "$0")/tools.sh"
python_with reactivex==6.1.0

run_python <<'END'
import asyncio

import reactivex
from reactivex import operators as ops
from reactivex.scheduler.eventloop import AsyncIOScheduler
from wire import compare, versions

versions("reactivex")


async def error_of(*arguments):
    scheduler = AsyncIOScheduler(asyncio.get_running_loop())
    try:
        await reactivex.never().pipe(ops.timeout(0.05, *arguments, scheduler=scheduler))
    except Exception as error:
        return error


bare = asyncio.run(error_of())
given = asyncio.run(error_of(reactivex.throw(TimeoutError())))
print(f"await never().pipe(timeout(0.05)): {bare!r}, a TimeoutError: {isinstance(bare, TimeoutError)}")
print("with throw(TimeoutError()) as second argument, a TimeoutError:", isinstance(given, TimeoutError))
compare((type(bare), str(bare), type(given)), (Exception, "Timeout", TimeoutError))
END
