"""Each file of a recording has one writer."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from reactivex.subject import Subject

from rxws.recording import Event, Recording, disk, files, read, record, write


def test_one_recording_at_a_time(tmp_path: Path) -> None:
    """A file where a recording is written takes no other one, by whatever name; the first one goes on."""
    file, link = tmp_path / "r.jsonl", tmp_path / "link.jsonl"
    source = Subject[str]()
    recorder = record({"a": source}, file)
    link.symlink_to(file)
    source.on_next("x")
    for path in (file, link):
        with pytest.raises(OSError, match="another recording is written there; dispose it, or") as refused:
            record({"b": source}, path)
        assert refused.value.errno == errno.EBUSY
    with pytest.raises(OSError, match="another recording is written there"):
        write(Recording([]), file)
    source.on_next("y")
    recorder.dispose()
    assert [event.data for event in read(file)] == ["x", "y"]


async def test_one_recording_after_another(tmp_path: Path) -> None:
    """On an event loop, too, where the end of the first one is written later, nothing of it is in the second one."""
    file = tmp_path / "r.jsonl"
    for number in range(20):
        source = Subject[object]()
        recorder = record({"a": source}, file)
        for _ in range(200):
            source.on_next("x" * 50)
        recorder.dispose()
        source = Subject[object]()
        recorder = record({"a": source}, file)
        source.on_next(number)
        recorder.dispose()
        assert [event.data for event in read(file)] == [number]


def test_another_process(tmp_path: Path) -> None:
    """What another program records to a file stays there."""
    file = tmp_path / "r.jsonl"
    file.write_text("its lines")
    with file.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="another recording is written there"):
            record({"a": Subject[str]()}, file)
        assert file.read_text() == "its lines"
    record({"a": Subject[str]()}, file).dispose()
    assert list(read(file)) == []


def test_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording that a slow disk keeps from ending has its file for itself until then."""
    file, stalled = tmp_path / "r.jsonl", threading.Event()
    recorder = record({"a": Subject[str]()}, file)
    monkeypatch.setattr(disk.wait_for_disk, "__defaults__", (0.1,))
    disk.write_soon(stalled.wait)
    try:
        recorder.dispose()
        with pytest.raises(OSError, match="another recording is written there"):
            record({"a": Subject[str]()}, file)
    finally:
        stalled.set()
        assert disk.wait_for_disk(5)
    record({"a": Subject[str]()}, file).dispose()


def test_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks takes recordings; a device takes several at once."""

    def flock(file: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    recorders = [record({"a": Subject[str]()}, os.devnull) for _ in range(2)]
    monkeypatch.setattr(fcntl, "flock", flock)
    write(Recording([Event(0.0, "a", "next", "x")], ("a",)), tmp_path / "r.jsonl")
    assert [event.data for event in read(tmp_path / "r.jsonl")] == ["x"]
    for recorder in recorders:
        recorder.dispose()


FORKED = """
import os, signal, sys
from reactivex.subject import Subject
from rxws.recording import record
from rxws.processes.fork import end_thread

source = Subject()
recorder = record({"a": source}, sys.argv[1])
end_thread()
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.close(write)
    os.read(read, 1)
    os._exit(0)
recorder.dispose()
record({"a": source}, sys.argv[1]).dispose()
print("recorded again")
"""


def test_forked_process_keeps_no_file(tmp_path: Path) -> None:
    """A process that was forked while a file was written does not keep others from it when that has ended."""
    command = [sys.executable, "-c", FORKED, str(tmp_path / "r.jsonl")]
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=30).stdout == "recorded again\n"


def test_file_that_becomes_free(tmp_path: Path) -> None:
    """One that a process has for a moment, such as a child between `fork` and its first line, is waited for."""
    with (tmp_path / "r.jsonl").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        threading.Timer(0.05, fcntl.flock, (file, fcntl.LOCK_UN)).start()
        files.open_alone(tmp_path / "r.jsonl").close()


def test_files_of_the_parent(tmp_path: Path) -> None:
    """A forked process leaves the files to its parent."""
    file = files.open_alone(tmp_path / "r.jsonl")
    files._close_in_child()
    assert file.closed
