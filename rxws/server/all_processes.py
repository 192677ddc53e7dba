"""The numbers of all processes that serve an application: each tells the others its own, every second."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any, Final

from rxws import processes
from rxws.core.log import SERVER, log_line
from rxws.processes.board import Board
from rxws.server.hub import Hub
from rxws.server.instruments import INSTRUMENTS, LOOP_LAG
from rxws.stats import DURATIONS

PERIOD: Final = 1.0
"""Seconds after which a process tells its numbers again."""

_telling: Final = Lock()  # what was read first is told first
_told: Final[dict[int, dict[str, Any]]] = {}  # by the number of the hub: a process may have several


@dataclass(slots=True)
class Numbers:
    """What one process has counted, or several have together."""

    values: dict[str, dict[str, float]]
    """The numbers of each of the `INSTRUMENTS`, by its name, then by the attribute's value."""
    durations: list[int] = field(default_factory=lambda: [0] * (len(DURATIONS) + 1))
    duration: float = 0.0
    pid: int = 0
    at: float = 0.0
    """When they were read, by the clock that all processes share."""


def numbers_of(hub: Hub) -> Numbers:
    """Read the hub of this process; one that was started in the place of another goes on from that one's counters."""
    stats = hub.stats
    values = {one.name: dict(one.read(hub, stats)) for one in INSTRUMENTS}
    own = Numbers(values, stats.durations, stats.duration, os.getpid(), time.monotonic())
    before = None if processes.board is None else _heard(processes.board.before, hub)
    return own if before is None else _together([own, _past(before)], own.pid, own.at)


def numbers_of_all(hub: Hub) -> tuple[Numbers, dict[int, Numbers]]:
    """Return the sums over all processes, and the numbers of each one by its place; an empty mapping without others.

    Those of the others are at most a second old, or as old as their event loops have been blocked. What is given here
    is told to them: when they are asked, or when this process has died, no counter is below what anybody has seen.
    """
    board = processes.board
    if board is None:
        return numbers_of(hub), {}
    own, _ = _tell(hub, board)
    found: dict[int, Numbers] = {}
    for place in range(board.places):  # always in the same order, or sums of fractions would differ by a hair
        if place == board.own:
            found[place] = own
        elif (told := _heard(board.read(place), hub)) is not None:
            found[place] = told if _runs(told.pid) else _past(told)
    return _together(list(found.values()), own.pid, own.at), found


class Sharing:
    """Tells the other processes the numbers of a hub, from `start` to `stop`; costs a reading of the hub a second."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._timer: asyncio.TimerHandle | None = None
        self._complained = False

    def start(self) -> None:
        """Begin, if there are other processes."""
        if processes.board is not None:
            self._tell()
            self._timer = asyncio.get_running_loop().call_later(PERIOD, self.start)

    def stop(self) -> None:
        """Tell the last ones."""
        if self._timer is not None:
            self._timer.cancel()
            self._tell()

    def _tell(self) -> None:
        assert processes.board is not None
        _, has_room = _tell(self._hub, processes.board)
        if not has_room and not self._complained:
            self._complained = True
            message = "the other processes do not get the metrics of this one: the names of its errors are too long"
            log_line(SERVER, logging.WARNING, message, event="worker")


def _tell(hub: Hub, board: Board) -> tuple[Numbers, bool]:
    """Read the hub and tell the others; return the numbers, and whether there was room for them. From any thread."""
    with _telling:
        own = numbers_of(hub)
        _told[hub.number] = asdict(own)
        return own, board.write(json.dumps(_told).encode())


def _heard(text: bytes, hub: Hub) -> Numbers | None:
    """Read what a process told of the same hub; the lag of one that is silent since is at least as long."""
    numbers = json.loads(text).get(str(hub.number)) if text else None
    if numbers is None:
        return None
    told = Numbers(**numbers)
    silent = time.monotonic() - told.at - PERIOD
    lag = told.values[LOOP_LAG]
    lag[""] = max(lag[""], silent)
    return told


def _past(told: Numbers) -> Numbers:
    """Give what stays of a process that has ended: its counters."""
    counters = {one.name: told.values.get(one.name, {}) for one in INSTRUMENTS if one.kind == "counter"}
    return Numbers(counters, told.durations, told.duration)


def _together(several: list[Numbers], pid: int, at: float) -> Numbers:
    values: dict[str, dict[str, float]] = {}
    for one in INSTRUMENTS:
        found: dict[str, list[float]] = {}
        for numbers in several:
            for value, number in numbers.values.get(one.name, {}).items():
                found.setdefault(value, []).append(number)
        values[one.name] = {value: one.combine(each) for value, each in found.items()}
    durations = [sum(counted) for counted in zip(*(numbers.durations for numbers in several), strict=True)]
    return Numbers(values, durations, sum(numbers.duration for numbers in several), pid, at)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
