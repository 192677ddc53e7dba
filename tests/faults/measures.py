"""What must stay flat."""

from __future__ import annotations

import gc
import os


def descriptors() -> int:
    """Open file descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def objects() -> int:
    """Objects that the garbage collector knows and cannot collect."""
    for _ in range(3):
        gc.collect()
    return len(gc.get_objects())
