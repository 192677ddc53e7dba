"""Writing events to a file, without ever waiting for the disk."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, Final

from rxws.checks import positive_int
from rxws.core.log import log_line
from rxws.recording.event import Event, Recording
from rxws.recording.lines import header_line, line

MAX_QUEUED: Final = 8 * 2**20
"""Bytes of lines that wait for the disk."""

FLUSH_TIMEOUT: Final = 1.0
"""Seconds that closing waits for the disk; what is left is written later."""

logger = logging.getLogger("rxws")
_writers = ThreadPoolExecutor(1, "rxws recording")


class FileSink:
    """One file. Lines are written and flushed by a thread that all files share; at exit, the interpreter awaits it."""

    def __init__(self, recording: Recording, file: str | Path, max_bytes: int, plain: Callable[[Any], Any]) -> None:
        positive_int("max_bytes", max_bytes, "bytes")
        self._file = Path(file).open("wb")  # noqa: SIM115 - until it is closed
        self._name = file
        self._plain = plain
        self._room = max_bytes
        self._lines: deque[bytes] = deque()
        self._waiting = 0
        self._missing = 0
        self._changing = Lock()
        self._writing = False
        self._failed = False
        self._push(f"{header_line(recording)}\n".encode())

    def put(self, event: Event) -> bool:
        """Take an event; `False` at the file's limit, or when the disk has refused a line."""
        text = f"{line(replace(event, data=self._plain(event.data)))}\n".encode()
        if self._waiting + len(text) > MAX_QUEUED:
            self._missing += 1
            return not self._failed
        if self._missing:
            missing, self._missing = self._missing, 0
            self._push(_note(event.time, f"{missing} events are missing here: the disk was too slow"))
        self._room -= len(text)
        if self._room < 0:
            self._push(_note(event.time, "the recording ends here: the file has reached its limit"))
            log_line(logger, logging.WARNING, "%s has reached its limit: the recording ends", self._name)
            return False
        self._push(text)
        return not self._failed

    def close(self, timeout: float = FLUSH_TIMEOUT) -> None:
        """Close the file after what waits; wait `timeout` seconds for it."""
        with self._changing:
            closing = _writers.submit(self._finish)
        try:
            closing.result(timeout)
        except TimeoutError:
            log_line(logger, logging.WARNING, "a recording's disk is slow: it is written later")

    def _push(self, text: bytes) -> None:
        with self._changing:
            self._lines.append(text)
            self._waiting += len(text)
            if not self._writing:
                self._writing = True
                _writers.submit(self._write)

    def _write(self) -> None:
        with self._changing:
            chunk = b"".join(self._lines)
            self._lines.clear()
            self._writing = False
        try:
            if not self._failed:
                self._file.write(chunk)
                self._file.flush()
        except OSError as error:
            self._failed = True
            log_line(logger, logging.ERROR, "%s cannot be written: %s; the recording ends", self._name, error)
        with self._changing:
            self._waiting -= len(chunk)

    def _finish(self) -> None:
        self._write()
        try:
            self._file.close()
        except OSError as error:
            log_line(logger, logging.ERROR, "%s cannot be closed: %s", self._name, error)


def _note(time: float, text: str) -> bytes:
    return f"{line(Event(time, 'recording', 'error', OverflowError(text)))}\n".encode()
