"""What must stay flat."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable


def descriptors() -> int:
    """Open file descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def memory(name: str = "VmRSS") -> int:
    """Bytes of this process that are in memory; the most that were, of `VmHWM`."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))


def growing() -> Callable[[], int]:
    """Begin to watch, and give a function that tells by how many bytes memory has been above what it is now."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak begins anew
    before = memory()
    return lambda: memory("VmHWM") - before


def objects() -> int:
    """Objects that the garbage collector knows and cannot collect."""
    for _ in range(3):
        gc.collect()
    return len(gc.get_objects())
