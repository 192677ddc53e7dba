"""Writing events to a file, without ever waiting for the disk."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Any, Final

from rxws.checks import positive_int
from rxws.core.log import log_line
from rxws.recording.disk import wait_for_disk, write_soon
from rxws.recording.event import Event, Recording
from rxws.recording.files import open_alone
from rxws.recording.lines import header_line, line

MAX_QUEUED: Final = 8 * 2**20
"""Bytes of lines that wait for the disk, above which further events are dropped."""

logger = logging.getLogger("rxws")


class FileSink:
    """One file, which a thread writes. A process that is forked leaves it alone, and writes one of its own.

    That is `session.4711.jsonl` beside `session.jsonl`, where 4711 is the id of the process; it is made for the first
    event there. Nothing is buffered in Python, so that nothing is written by both.
    """

    def __init__(self, recording: Recording, file: str | Path, max_bytes: int, plain: Callable[[Any], Any]) -> None:
        self._max_bytes = positive_int("max_bytes", max_bytes, "bytes")
        self._header = f"{header_line(recording)}\n".encode()
        self._plain = plain
        self._first = Path(file)
        self._begin(self._first)
        self._file = open_alone(self._path)
        self._push(self._header)

    def put(self, event: Event) -> bool:
        """Take an event; `False` at the file's limit, or when the disk has refused a line."""
        if self._room < 0:  # a handler of logs has sent what the line below says
            return False
        if self._process != os.getpid():
            self._begin_own()
        text = f"{line(replace(event, data=self._plain(event.data)))}\n".encode()
        if self._waiting > MAX_QUEUED:
            self._missing += 1
            self._newest = event.time
            return not self.has_failed
        self._tell_missing(event.time)
        self._room -= len(text)
        if self._room < 0:
            self._push(_note(event.time, "the recording ends here: the file has reached its limit"))
            log_line(logger, logging.WARNING, "%s has reached its limit: the recording ends", self._path)
            return False
        self._push(text)
        return not self.has_failed

    def close(self) -> None:
        """Close the file behind what waits. Outside event loops, wait for that, a second at most."""
        if self._process != os.getpid():
            return
        self._tell_missing(self._newest)
        write_soon(self._finish)
        if not _in_event_loop() and not wait_for_disk():
            log_line(logger, logging.WARNING, "a recording's disk is slow: it is written later")

    def _begin(self, path: Path) -> None:
        self._path = path
        self._process = os.getpid()
        self._file: FileIO | None = None
        self._room = self._max_bytes
        self._lines: deque[bytes] = deque()
        self._waiting = 0
        self._missing = 0  # events that were dropped since the last line
        self._newest = 0.0  # the time of the last event that is missing
        self._changing = Lock()
        self._writing = False
        self.has_failed = False
        """Whether the disk has refused a line, as far as it has been asked."""

    def _begin_own(self) -> None:
        if self._file is not None:
            self._file.close()
        self._begin(self._first.with_name(f"{self._first.stem}.{os.getpid()}{self._first.suffix}"))
        self._push(self._header)
        log_line(logger, logging.INFO, "process %d records to %s", self._process, self._path)

    def _tell_missing(self, time: float) -> None:
        if self._missing:
            missing, self._missing = self._missing, 0
            self._push(_note(time, f"{missing} events are missing here: the disk was too slow"))

    def _push(self, text: bytes) -> None:
        with self._changing:
            self._lines.append(text)
            self._waiting += len(text)
            writing, self._writing = self._writing, True
        if not writing:
            write_soon(self._write)

    # In the thread that writes

    def _write(self) -> None:
        with self._changing:
            chunk = b"".join(self._lines)
            self._lines.clear()
            self._writing = False
        try:
            if not self.has_failed:
                self._write_all(memoryview(chunk))
        except OSError as error:
            self.has_failed = True
            log_line(logger, logging.ERROR, "%s cannot be written: %s; the recording ends", self._path, error)
        with self._changing:
            self._waiting -= len(chunk)

    def _write_all(self, left: memoryview) -> None:
        if self._file is None:
            self._file = open_alone(self._path)
        while left:
            left = left[os.write(self._file.fileno(), left) :]

    def _finish(self) -> None:
        self._write()
        try:
            if self._file is not None:
                self._file.close()
        except OSError as error:
            log_line(logger, logging.ERROR, "%s cannot be closed: %s", self._path, error)


def _note(time: float, text: str) -> bytes:
    return f"{line(Event(time, 'recording', 'error', OverflowError(text)))}\n".encode()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
