"""The thread that writes."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rxws.recording import disk, read

AT_EXIT = """
import atexit, sys
from reactivex.subject import Subject
from rxws.recording import record

source = Subject()
recorder = record({"a": source}, sys.argv[1])
source.on_next("before")

@atexit.register
def end():
    source.on_next("at exit")
    recorder.dispose()
"""


def test_waits_but_not_forever() -> None:
    """It waits for what was given before, within the timeout."""
    stalled, seen = threading.Event(), list[int]()
    disk.write_soon(stalled.wait)
    disk.write_soon(lambda: seen.append(1))
    assert not disk.wait_for_disk(0.01)
    stalled.set()
    assert disk.wait_for_disk(5)
    assert seen == [1]


def test_nothing_to_wait_for() -> None:
    """A process that has recorded nothing starts no thread to find that out."""
    program = "import threading; from rxws.recording import disk; print(disk.wait_for_disk(), threading.active_count())"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    assert result.stdout == "True 1\n"


def test_what_comes_at_exit_is_written(tmp_path: Path) -> None:
    """What is recorded while the interpreter exits, when no thread can start any more, is written too."""
    file = tmp_path / "r.jsonl"
    command = [sys.executable, "-W", "error", "-c", AT_EXIT, str(file)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert result.stderr == ""
    assert [event.data for event in read(file)] == ["before", "at exit"]


def test_thread_ends_unless_the_disk_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a fork the thread does what it was given, and ends; one that a disk keeps stays, and loses nothing."""
    stalled, seen = threading.Event(), list[int]()

    def threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("rxws recording")]

    disk.write_soon(lambda: seen.append(1))
    disk.end_thread()
    assert (seen, threads()) == ([1], [])
    disk.write_soon(stalled.wait)
    disk.write_soon(lambda: seen.append(2))
    monkeypatch.setattr(disk.wait_for_disk, "__defaults__", (0.01,))
    disk.end_thread()
    assert (seen, len(threads())) == ([1], 1)
    stalled.set()
    assert disk.wait_for_disk(5)
    assert seen == [1, 2]
