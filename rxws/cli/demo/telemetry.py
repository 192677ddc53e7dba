"""What this machine is doing, as shared Observables."""

from __future__ import annotations

import functools
import os
import socket
import time
from dataclasses import dataclass
from typing import Any

import psutil
import reactivex
from reactivex import Observable
from reactivex import operators as ops


@dataclass(frozen=True, slots=True)
class MachineCounters:
    """The machine's counters at one moment."""

    at: float
    busy: tuple[float, ...]
    idle: tuple[float, ...]
    received: int
    sent: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What the machine did between two readings."""

    at: float
    """Seconds since the epoch."""
    cpu: tuple[float, ...]
    """Percent busy, per core."""
    memory: float
    """Percent used."""
    net_in: float
    """Bytes per second."""
    net_out: float
    """Bytes per second."""
    load: float
    """Load average of the last minute."""

    @property
    def mean(self) -> float:
        """Percent busy, of all cores."""
        return sum(self.cpu) / len(self.cpu)


def read_counters(_: Any = None) -> MachineCounters:
    """Read the counters."""
    times = psutil.cpu_times(percpu=True)
    idle = tuple(core.idle + getattr(core, "iowait", 0.0) for core in times)
    network = psutil.net_io_counters()
    return MachineCounters(
        at=time.time(),
        busy=tuple(sum(core[:8]) - rest for core, rest in zip(times, idle, strict=True)),
        idle=idle,
        received=network.bytes_recv if network else 0,
        sent=network.bytes_sent if network else 0,
    )


def difference(before: MachineCounters, after: MachineCounters) -> Sample:
    """Make a sample of two readings."""
    seconds = max(after.at - before.at, 1e-6)
    cores: list[float] = []
    for core in range(len(after.busy)):
        busy = max(0.0, after.busy[core] - before.busy[core])
        total = busy + max(0.0, after.idle[core] - before.idle[core])
        cores.append(round(100 * busy / total, 1) if total else 0.0)
    return Sample(
        at=round(after.at, 3),
        cpu=tuple(cores),
        memory=psutil.virtual_memory().percent,
        net_in=round((after.received - before.received) / seconds),
        net_out=round((after.sent - before.sent) / seconds),
        load=round(os.getloadavg()[0], 2),
    )


@functools.cache
def samples(hz: int) -> Observable[Sample]:
    """Sample `hz` times a second; shared, so that two pages do not sample twice. Never ends."""
    return reactivex.interval(1 / hz).pipe(ops.map(read_counters), ops.pairwise(), ops.starmap(difference), ops.share())


def machine() -> dict[str, Any]:
    """Say which machine this is."""
    return {"type": "hello", "host": socket.gethostname(), "cores": psutil.cpu_count() or 1}
