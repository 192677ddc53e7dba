"""One of several processes that do the same, from its fork to its end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Final, NoReturn

from rxws.recording.disk import end_thread, finish

HANDLED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


class Tell:
    """What a worker tells the process that started it: that it is ready, or why it never will be; one of them, once."""

    READY: Final = "+"
    FAILED: Final = "-"

    def __init__(self, news: int) -> None:
        self._news: int | None = news

    def ready(self, text: str = "") -> None:
        """Tell that the work has begun, and what else there is to say, 500 characters at most."""
        self._send(self.READY + text)

    def failed(self, why: str) -> None:
        """Tell why it has not, if it has not."""
        self._send(self.FAILED + why)

    def _send(self, text: str) -> None:
        if self._news is not None:
            with contextlib.suppress(OSError):
                os.write(self._news, text[:500].encode(errors="replace"))
            os.close(self._news)
            self._news = None


def fork(work: Callable[[Tell], object], ours: Iterable[int], alive: int, stop_timeout: float) -> tuple[int, int]:
    """Start a process that does the work and ends with it; give its id, and where what it tells can be read.

    The new process closes `ours`, which belong to this one. When nobody can write to `alive`, this process has
    ended: then the new one stops as at SIGTERM, and is killed after `stop_timeout` seconds. It ignores SIGINT, which a
    terminal sends to all processes. Raises `OSError` if there cannot be another process.
    """
    end_thread()
    _flush()
    read, write = os.pipe()
    os.set_blocking(read, False)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        pid = os.fork()
        if pid == 0:
            _be(work, (read, *ours), write, mask, alive, stop_timeout)
    except OSError:
        os.close(read)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(write)
    return pid, read


def _be(
    work: Callable[[Tell], object],
    not_ours: Iterable[int],
    news: int,
    mask: Iterable[int],
    alive: int,
    stop_timeout: float,
) -> NoReturn:
    status = 1
    tell = Tell(news)
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, lambda number, frame: None)  # not SIG_IGN, which programs it starts would inherit
        for end in not_ours:
            os.close(end)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        threading.Thread(target=_end_with_parent, args=(alive, stop_timeout), name="rxws worker", daemon=True).start()
        work(tell)
        status = 0
    except BaseException as error:
        traceback.print_exc()
        tell.failed("".join(traceback.format_exception_only(error)).strip())
    finally:
        finish()
        _flush()
        os._exit(status)


def _end_with_parent(alive: int, stop_timeout: float) -> None:
    os.read(alive, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(stop_timeout)
    os.kill(os.getpid(), signal.SIGKILL)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
