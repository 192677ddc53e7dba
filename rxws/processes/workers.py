"""Several processes that do the same: forked, watched, started again when they die, stopped together."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Final

from rxws.backoff import Backoff
from rxws.core.log import SERVER, log_line
from rxws.processes.fork import HANDLED, Tell, fork
from rxws.processes.stops import Stops

RESTART_BACKOFF: Final = Backoff(initial=0.5, factor=2, maximum=30, jitter=lambda ceiling: ceiling, reset_after=10)
"""A worker that dies is started again at once, after these waits if it dies again within `reset_after`."""


@dataclass(slots=True, eq=False)
class Worker:
    """A place among the workers: one process after the other."""

    pid: int | None = None
    news: int | None = None
    """What the process tells comes here; nothing more, once it is ready."""
    told: str = ""
    ready: bool = False
    since: float = 0.0
    due: float = 0.0
    """When it is to be started, if it does not run."""
    failures: int = 0
    """Deaths in a row, none of which came late."""


class Workers:
    """Keeps `count` processes that run `work`, until this one is told to stop by SIGTERM or SIGINT.

    `work` is called in the main thread of each, and tells when it is ready; once all are, `ready` is called here with
    the text that came with the last one's. It returns at SIGTERM; a process that has not ended `stop_timeout` seconds
    later is killed, all are at a second signal half a second later or more. When this process has ended, by SIGKILL
    say, they stop by themselves, within `stop_timeout` too.
    """

    def __init__(
        self, count: int, work: Callable[[Tell], object], *, stop_timeout: float, ready: Callable[[str], object]
    ) -> None:
        self._work = work
        self._stop_timeout = stop_timeout
        self._ready: Callable[[str], object] | None = ready
        self._workers = [Worker() for _ in range(count)]
        self.starting = 0
        """The place of the worker that was started last; in a worker, its own."""
        self._stops = 0
        self._wake = (-1, -1)
        self._alive = (-1, -1)

    def run(self) -> None:
        """Run until it is told to stop; raises `RuntimeError` if the first start of a worker fails."""
        with self._signals():
            self._alive = os.pipe()
            try:
                while not self._stops:
                    for place, worker in enumerate(self._workers):
                        if worker.pid is None and worker.due <= time.monotonic():
                            self.starting = place
                            self._start(worker)
                    self._look(min((worker.due for worker in self._workers if worker.pid is None), default=None))
            finally:
                self._stop()
                _close(self._alive)

    def _start(self, worker: Worker) -> None:
        ours = (*self._wake, self._alive[1], *(other.news for other in self._workers if other.news is not None))
        worker.ready, worker.told, worker.since = False, "", time.monotonic()
        try:
            worker.pid, worker.news = fork(self._work, ours, self._alive[0], self._stop_timeout)
        except OSError as error:
            if self._ready is not None:
                raise
            self._again(worker, f"could not be started: {error}")

    def _look(self, until: float | None) -> None:
        """Wait until something happens, and record it."""
        news = {worker.news: worker for worker in self._workers if worker.news is not None}
        happened = wait([self._wake[0], *news], None if until is None else max(0.0, until - time.monotonic()))
        if self._wake[0] in happened:
            os.read(self._wake[0], 1024)
        for end, worker in news.items():
            if end in happened:
                self._hear(worker)
        self._reap()

    def _reap(self) -> None:
        for worker in self._workers:
            if worker.pid is not None and (status := _ended(worker.pid)) is not None:
                worker.pid = None
                if worker.news is not None:
                    self._hear(worker)
                self._died(worker, status)
        if os.getpid() == 1:
            self._reap_orphans()

    def _reap_orphans(self) -> None:
        """Wait for processes that have lost their parents: the system gives them to process 1 of a container."""
        ours = {worker.pid for worker in self._workers}
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if ended.si_pid in ours:  # since just now: its signal has come, or comes
                    return
                os.waitpid(ended.si_pid, 0)

    def _hear(self, worker: Worker) -> None:
        assert worker.news is not None
        with contextlib.suppress(BlockingIOError):  # it has ended, but not what it has forked
            worker.told = os.read(worker.news, 4096).decode(errors="replace")
        os.close(worker.news)
        worker.news = None
        worker.ready = worker.told.startswith(Tell.READY)
        if worker.ready:
            log_line(SERVER, logging.INFO, "worker %d is ready", worker.pid, event="worker", pid=worker.pid)
            if self._ready is not None and not self._stops and all(worker.ready for worker in self._workers):
                self._ready(worker.told.removeprefix(Tell.READY))
                self._ready = None

    def _died(self, worker: Worker, status: int) -> None:
        if self._stops:
            return
        how = f"died of {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        if not worker.ready:
            how = f"failed to start: {worker.told.removeprefix(Tell.FAILED) or how}"
        if self._ready is not None:
            self._stops = 1
            raise RuntimeError(f"a worker {how}")
        self._again(worker, how)

    def _again(self, worker: Worker, how: str) -> None:
        now = time.monotonic()
        if worker.ready and now - worker.since >= RESTART_BACKOFF.reset_after:
            worker.failures = 0
        delay = RESTART_BACKOFF.delay(worker.failures - 1, RuntimeError()) if worker.failures else 0.0
        worker.due = now + delay
        worker.failures += 1
        level = logging.ERROR if not worker.ready else logging.WARNING
        log_line(SERVER, level, "a worker %s; another one starts in %.3g s", how, delay, event="worker", delay=delay)

    def _stop(self) -> None:
        self._stops = max(self._stops, 1)
        deadline = time.monotonic() + self._stop_timeout
        self._send(signal.SIGTERM)
        self._reap()  # the death of one, which is an error, came with others', whose signals are read
        killed = False
        while any(worker.pid is not None for worker in self._workers):
            self._look(deadline)
            if self._stops > 1 or time.monotonic() >= deadline:
                if not killed:
                    log_line(SERVER, logging.WARNING, "workers that have not stopped are killed", event="worker")
                killed = True
                self._send(signal.SIGKILL)
                deadline = time.monotonic() + 1
        _close(worker.news for worker in self._workers if worker.news is not None)

    def _send(self, what: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid is not None:
                os.kill(worker.pid, what)

    @contextlib.contextmanager
    def _signals(self) -> Generator[None, None, None]:
        """Count what tells to stop, and wake up for it and for the death of a worker."""
        stops = Stops()

        def note(number: int, frame: object) -> None:
            if number != signal.SIGCHLD:
                self._stops += stops.told()

        self._wake = os.pipe()
        os.set_blocking(self._wake[1], False)
        before = {number: signal.signal(number, note) for number in HANDLED}
        woken_before = signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(woken_before)
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
            _close(self._wake)


def _close(ends: Iterable[int]) -> None:
    for end in ends:
        os.close(end)


def _ended(pid: int) -> int | None:
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # other code has waited for it
        return 0
    return os.waitstatus_to_exitcode(status) if ended else None
