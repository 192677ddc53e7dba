"""The thread that writes the files of all recordings, so that nobody else waits for a disk."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import Final

from reactivex.internal import noop

from rxws.core.log import log_line
from rxws.rx.foreign import call, described

FLUSH_TIMEOUT: Final = 1.0
"""Seconds to wait for the disk, where no event loop waits too; what is left is written later."""

EXIT_TIMEOUT: Final = 2.0
"""Seconds without any progress after which the end of a process waits for the disk no longer."""

Step = Callable[[], object]

logger = logging.getLogger("rxws")
_steps: SimpleQueue[Step | None]
_thread: Thread | None
_changing: Lock


def _begin() -> None:
    global _steps, _thread, _changing
    _steps, _thread, _changing = SimpleQueue(), None, Lock()


_begin()
getattr(os, "register_at_fork", noop)(after_in_child=_begin)  # no thread of the parent's is in the child


def write_soon(step: Step) -> None:
    """Have the thread take a step after those that it was given before; the interpreter's exit waits for it."""
    global _thread
    with _changing:
        if _thread is None:
            thread = Thread(target=_work, args=(_steps,), name="rxws recording", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter exits
                _take(step)
                return
            _thread = thread
        _steps.put(step)


def wait_for_disk(timeout: float = FLUSH_TIMEOUT) -> bool:
    """Block until the thread has done what it was given, or for `timeout` seconds; return whether it has."""
    done = Event()
    if _thread is not None:
        write_soon(done.set)
    return _thread is None or done.wait(timeout)


def end_thread() -> None:
    """End the thread once it has done what it was given, so that a fork copies no thread; the next step starts another.

    A thread that a disk keeps for longer than `FLUSH_TIMEOUT` stays.
    """
    global _steps, _thread
    if not wait_for_disk():
        return
    with _changing:
        steps, thread = _steps, _thread
        _steps, _thread = SimpleQueue(), None
    if thread is not None:
        steps.put(None)
        thread.join(FLUSH_TIMEOUT)


@atexit.register
def finish() -> None:
    """Block at the end of a process until the thread has done what it was given, or no longer makes progress."""
    if _thread is None:
        return
    done = Event()
    write_soon(done.set)
    left = _steps.qsize()
    while not done.wait(EXIT_TIMEOUT):
        before, left = left, _steps.qsize()
        if left == before:
            log_line(logger, logging.WARNING, "a recording's disk is slow: its last lines may be lost")
            return


def _work(steps: SimpleQueue[Step | None]) -> None:
    while (step := steps.get()) is not None:
        _take(step)


def _take(step: Step) -> None:
    call(_report, "a recording", step)


def _report(error: Exception) -> None:
    log_line(logger, logging.ERROR, "a recording cannot be written: %s", described(error), error=error)
