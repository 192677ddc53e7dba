"""Files, each of which has one writer at a time."""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Final
from weakref import WeakSet

from reactivex.internal import noop

from rxws.recording.disk import wait_for_disk

LOCK_TRIES: Final = 20
TRY_AFTER: Final = 0.01
"""Seconds between tries to lock a file: a process that was forked has it, too, until its code begins to run."""

_open: Final = WeakSet[FileIO]()


def open_alone(path: Path) -> FileIO:
    """Open a file to write it from its start; what it had is removed.

    Raises `OSError` if it cannot be opened, or while another recording, of any process, is written there. This waits
    for one that has ended, a second or so at most.
    """
    file = FileIO(path, "wb", opener=_opener)
    _open.add(file)
    return file


def _opener(path: str, flags: int) -> int:
    opened = os.open(path, flags & ~os.O_TRUNC, 0o666)  # it is emptied once nobody else writes it
    try:
        if stat.S_ISREG(os.fstat(opened).st_mode):
            if not (_lock(opened) or _lock_soon(opened)):
                why = f"cannot write {path}: another recording is written there; dispose it, or choose another file"
                raise OSError(errno.EBUSY, why)
            os.ftruncate(opened, 0)
    except OSError:
        os.close(opened)
        raise
    return opened


def _lock(opened: int) -> bool:
    """Lock a file until it is closed; `False` if it is locked."""
    with suppress(ImportError, OSError):  # on Windows, or on a file system without locks
        from fcntl import LOCK_EX, LOCK_NB, flock

        try:
            flock(opened, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _lock_soon(opened: int) -> bool:
    """Lock a file whose recording has ended, but waits for the disk, or for a process that was just forked."""
    wait_for_disk()
    for _ in range(LOCK_TRIES):
        time.sleep(TRY_AFTER)
        if _lock(opened):
            return True
    return False


def _close_in_child() -> None:
    """Leave the files to the parent: a lock lasts until no process has the file open."""
    for file in tuple(_open):
        file.close()


getattr(os, "register_at_fork", noop)(after_in_child=_close_in_child)
