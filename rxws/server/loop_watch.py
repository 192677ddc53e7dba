"""How late the event loop is, and whose code it is that keeps it."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

from rxws.core.lifecycle import Lifecycle
from rxws.core.log import SERVER, SocketLog

BEAT: Final = 0.1
"""Seconds between two looks at the clock."""
BLOCKED: Final = 1.0
"""Seconds for which a call may keep the event loop before it is named in the log."""
LAG_KEPT: Final = 30.0
"""Seconds after which the worst lag is one of the past; after as long again it is forgotten."""
NO_END: Final = 10.0
"""Seconds after which a call is named that has not ended."""
MAX_NAMED: Final = 32
"""Calls that are named; each is, once."""

NEVER_BLAMED: Final = {"rxws", "reactivex", "aiohttp", "uvloop"} | sys.stdlib_module_names
"""Packages that wait for what users' code does, and are not to blame."""


@contextmanager
def _no_collection() -> Generator[None]:
    """Let Python collect no garbage meanwhile.

    Before 3.12 it may do so while it makes the object of another thread's frame. What it calls then lets that thread
    go on, and the object is one of a frame that has ended: to ask it for anything may crash the process.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class LoopWatch:
    """Measures the lag of one event loop, from its own thread and from another one, which sees what blocks it.

    Costs ten timers and ten wake-ups of a thread a second. Memory: the code of 32 calls that were named.
    """

    def __init__(self) -> None:
        self._due: float | None = None
        self._worst = self._worst_before = 0.0
        self._since = 0.0
        self._base: FrameType | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = threading.Event()
        self._named = set[object]()

    @property
    def lag(self) -> float:
        """Seconds by which a timer was late: the worst of the last 30 to 60 s; from any thread."""
        return max(self._worst, self._worst_before, self._late)

    @property
    def _late(self) -> float:
        due = self._due  # once: `stop` forgets it, perhaps in another thread
        return 0.0 if due is None else max(0.0, time.monotonic() - due)

    def start(self) -> None:
        """Watch the event loop that runs, until `stop`."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._timer = self._loop.call_later(0, self._beat)
        threading.Thread(target=self._look, name="rxws loop watch", daemon=True).start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stopped.set()
        self._due = None
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        self._worst = max(self._worst, self._late)
        now = time.monotonic()
        if now - self._since >= LAG_KEPT:
            self._worst_before, self._worst, self._since = self._worst, 0.0, now
        self._base = _outside_the_loop(inspect.currentframe())
        self._due = now + BEAT
        self._timer = self._loop.call_later(BEAT, self._beat)

    def _look(self) -> None:
        """Look at the event loop from outside: a call that is there at two looks without a beat between keeps it."""
        seen: tuple[float, list[FrameType]] | None = None
        suspect: _Suspect | None = None
        while not self._stopped.wait(BEAT) and not self._loop.is_closed():
            due, late = self._due, self._late
            if suspect is not None and suspect.has_been_told(due, late):
                suspect = None
            if due is None or late < BLOCKED / 2:
                seen = None
            elif seen is None or seen[0] != due:
                seen = due, self._calls()
            elif late >= BLOCKED and suspect is None:
                suspect = self._suspect(due, late, seen[1])

    @_no_collection()
    def _calls(self) -> list[FrameType]:
        """Give what the event loop has called, and what that has, the innermost first; nothing while it waits."""
        calls: list[FrameType] = []
        # All threads' frames, this one's too: a name for them would be a cycle, and keep what the calls hold.
        frame = sys._current_frames().get(self._thread)  # pyright: ignore[reportPrivateUsage] - it has no other name
        while frame is not None and frame is not self._base:
            if _package(frame) not in ("asyncio", "selectors"):
                calls.append(frame)
            frame = frame.f_back
        return calls

    def _suspect(self, due: float, late: float, before: list[FrameType]) -> _Suspect | None:
        now = self._calls()
        if not any(frame is other for frame in now for other in before):
            return None
        blamed = next((frame for frame in now if _package(frame) not in NEVER_BLAMED), now[0])
        log = next(filter(None, map(_log_of, now)), None)
        code = blamed.f_code
        name = (code, None if log is None else log.path)
        if name in self._named or len(self._named) >= MAX_NAMED:
            return None
        self._named.add(name)
        return _Suspect(due, late, f"{code.co_qualname} ({code.co_filename}:{blamed.f_lineno})", log)


@dataclass(slots=True)
class _Suspect:
    """A call that keeps the event loop, to be named when it is known for how long."""

    due: float
    late: float
    place: str
    log: SocketLog | None

    def has_been_told(self, due: float | None, late: float) -> bool:
        """Write the line, if the call has ended or seems to have no end."""
        ended = due != self.due
        self.late = self.late if ended else late
        if not ended and late < NO_END:
            return False
        message = "the event loop was blocked for %.1f s%s, and all sockets waited: by %s"
        said = (self.late, "" if ended else " so far", self.place)
        log = SocketLog(SERVER) if self.log is None else self.log
        log.write(logging.WARNING, "blocked", message, *said, seconds=self.late, place=self.place)
        return True


def _outside_the_loop(frame: FrameType | None) -> FrameType | None:
    """Give the first caller of a timer that does not belong to one turn of the event loop."""
    caller = frame and frame.f_back
    while caller is not None and caller.f_code.co_name in ("_run", "_run_once") and _package(caller) == "asyncio":
        caller = caller.f_back
    return caller


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _log_of(frame: FrameType) -> SocketLog | None:
    """Give the log of the socket that a frame of ours works for."""
    if _package(frame) == "rxws":
        for name in ("life", "self"):
            one = frame.f_locals.get(name)
            for owner in (one, getattr(one, "_owner", None)):
                if isinstance(owner, Lifecycle):
                    return owner.reports.log
    return None
