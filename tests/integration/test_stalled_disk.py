"""Processes that record, and end while their disk takes nothing."""

import subprocess
import sys
from pathlib import Path

from rxws.recording import read
from tests.processes.program import run
from tests.processes.test_fork import RECORDING

STALLED = """
import os, sys
from reactivex.subject import Subject
from rxws.recording import record

os.mkfifo(sys.argv[1])
reading = os.open(sys.argv[1], os.O_RDONLY | os.O_NONBLOCK)
source = Subject()
record({"a": source}, sys.argv[1])
source.on_next("x" * 200_000)
source.on_completed()
"""


def test_interpreter_does_not_wait_for_a_stalled_disk(tmp_path: Path) -> None:
    """The interpreter's exit waits for a disk while it makes progress; one that takes nothing does not stop it."""
    command = [sys.executable, "-W", "error", "-c", STALLED, str(tmp_path / "pipe")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert result.stderr.splitlines() == [
        "a recording's disk is slow: it is written later",
        "a recording's disk is slow: its last lines may be lost",
    ]


def test_worker_ends_when_its_lines_are_written(tmp_path: Path) -> None:
    """What is recorded in an event loop at the end is written by then; what a stalled disk does not take is logged."""
    work = """
    import asyncio, threading
    from rxws.recording import disk
    async def main():
        recorder = record({"b": source}, f"{sys.argv[1]}-{os.getpid()}")
        for number in range(1000):
            source.on_next("x" * 1000)
        recorder.dispose()
    done = []
    signal.signal(signal.SIGTERM, lambda number, frame: done.append(number))
    tell.ready()
    while not done:
        time.sleep(0.01)
    asyncio.run(main())
    if sys.argv[2]:
        disk.write_soon(threading.Event().wait)
    """
    for stalled in ("", "stalled"):
        finished = run(work, str(tmp_path / f"r{stalled}"), stalled, before=RECORDING)
        assert finished.returncode == 0, finished.stderr
        others = sorted(tmp_path.glob(f"r{stalled}-*"))
        assert [len(list(read(path))) for path in others] == [1000] * 3
        assert ("its last lines may be lost" in finished.stderr) == bool(stalled)
