"""The thread that writes the files of all recordings, so that nobody else waits for a disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Final

from reactivex.internal import noop

FLUSH_TIMEOUT: Final = 1.0
"""Seconds to wait for the disk where that harms nobody; what is left is written later."""

_thread: ThreadPoolExecutor
_used: bool


def _begin() -> None:
    global _thread, _used
    _thread, _used = ThreadPoolExecutor(1, "rxws recording"), False


_begin()
getattr(os, "register_at_fork", noop)(after_in_child=_begin)  # no thread of the parent's is in the child


def write_soon(step: Callable[[], object]) -> None:
    """Let the thread take a step, behind those that it was given before; the interpreter's exit waits for it."""
    global _used
    _used = True
    try:
        _thread.submit(step)
    except RuntimeError:  # the interpreter exits, and the thread has ended
        step()


def wait_for_disk(timeout: float = FLUSH_TIMEOUT) -> bool:
    """Block until the thread has done what it was given, or for `timeout` seconds; return whether it has."""
    done = Event()
    if _used:
        write_soon(done.set)
    return not _used or done.wait(timeout)


def end_thread() -> None:
    """End the thread once it has done what it was given, so that a fork copies no thread; the next step starts another.

    A thread that a disk keeps for longer than `FLUSH_TIMEOUT` stays.
    """
    thread = _thread
    if wait_for_disk():
        _begin()
        thread.shutdown()
