"""Recordings on a disk: slow, full, and in time."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from reactivex.subject import Subject

from rxws.recording import disk, read, record, writer


def test_flushed_in_time(tmp_path: Path) -> None:
    """Lines are flushed while a recording goes on."""
    source = Subject[str]()
    recorder = record({"a": source}, tmp_path / "r.jsonl")
    source.on_next("x")
    assert [event.data for event in read(tmp_path / "r.jsonl")] == ["x"]
    recorder.dispose()


def test_file_limit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A full file ends a recording and says so."""
    source = Subject[str]()
    recorder = record({"a": source}, tmp_path / "r.jsonl", max_bytes=1000)
    for _ in range(100):
        source.on_next("x" * 100)
    assert recorder.is_disposed
    *events, last = read(tmp_path / "r.jsonl")
    assert (len(events), last.lane, last.kind) == (6, "recording", "error")
    assert last.data.text == "the recording ends here: the file has reached its limit"
    assert (tmp_path / "r.jsonl").stat().st_size < 1300
    assert "has reached its limit" in caplog.text
    with pytest.raises(ValueError, match="max_bytes must be a positive whole number of bytes, not 0"):
        record({"a": source}, tmp_path / "s.jsonl", max_bytes=0)
    with pytest.raises(FileNotFoundError):
        record({"a": source}, tmp_path / "none" / "r.jsonl")


@pytest.fixture
def stalled() -> Iterator[threading.Event]:
    """Stall the disk, until the event is set."""
    event = threading.Event()
    disk.write_soon(event.wait)
    yield event
    event.set()
    assert disk.wait_for_disk(5)


def test_slow_disk(tmp_path: Path, stalled: threading.Event) -> None:
    """What a slow disk cannot take is counted in the file."""
    source = Subject[str]()
    recorder = record({"a": source}, tmp_path / "r.jsonl")
    for _ in range(20):
        source.on_next("x" * (writer.MAX_QUEUED // 10))
    stalled.set()
    assert disk.wait_for_disk(5)
    source.on_next("last")
    recorder.dispose()
    events = list(read(tmp_path / "r.jsonl"))
    notes = [event.data.text for event in events if event.lane == "recording"]
    assert notes
    assert all(note.endswith("events are missing here: the disk was too slow") for note in notes)
    assert events[-1].data == "last"
    assert sum(int(note.split()[0]) for note in notes) + len(events) - len(notes) == 21
    assert 3 < len(events) < 15


def test_missing_at_the_end(tmp_path: Path, stalled: threading.Event) -> None:
    """What a slow disk could not take at last is counted in the file, too."""
    source = Subject[str]()
    recorder = record({"a": source}, tmp_path / "r.jsonl")
    for _ in range(4):
        source.on_next("x" * writer.MAX_QUEUED)
    threading.Timer(0.1, stalled.set).start()
    recorder.dispose()
    first, event = read(tmp_path / "r.jsonl")
    assert (first.lane, len(first.data)) == ("a", writer.MAX_QUEUED)
    assert event.data.text == "3 events are missing here: the disk was too slow"


def test_large_item(tmp_path: Path) -> None:
    """An item of any size is recorded where the disk keeps up."""
    source = Subject[bytes]()
    recorder = record({"a": source}, tmp_path / "r.jsonl")
    for _ in range(2):
        source.on_next(bytes(writer.MAX_QUEUED))
        assert disk.wait_for_disk(5)
    recorder.dispose()
    assert [(event.lane, len(event.data)) for event in read(tmp_path / "r.jsonl")] == [("a", writer.MAX_QUEUED)] * 2


def test_close_on_slow_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, stalled: threading.Event
) -> None:
    """Closing outside an event loop does not wait forever for a disk, and nobody waits who has an event to note."""
    monkeypatch.setattr(disk.wait_for_disk, "__defaults__", (0.2,))
    recorder = record({"a": Subject[str]()}, tmp_path / "r.jsonl")
    closing = threading.Thread(target=recorder.dispose)
    closing.start()
    while not recorder.is_disposed:
        time.sleep(0.001)
    recorder.note("a", "next", "late")
    assert closing.is_alive()
    closing.join()
    assert "a recording's disk is slow" in caplog.text
    stalled.set()
    assert list(read(tmp_path / "r.jsonl")) == []


async def test_close_in_event_loop(tmp_path: Path, stalled: threading.Event) -> None:
    """Closing in an event loop does not wait for a disk at all; reading does."""
    source = Subject[str]()
    recorder = record({"a": source}, tmp_path / "r.jsonl")
    source.on_next("x")
    began = time.monotonic()
    recorder.dispose()
    assert time.monotonic() - began < 0.5
    threading.Timer(0.1, stalled.set).start()
    assert [event.data for event in read(tmp_path / "r.jsonl")] == ["x"]


def test_forked_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What another process records goes to a file of its own, once there is something."""
    source = Subject[str]()
    recorder, other = (record({"a": source}, tmp_path / f"{name}.jsonl", max_bytes=500) for name in ("r", "s"))
    source.on_next("before")
    other.dispose()
    late = record({"a": Subject[str]()}, tmp_path / "t.jsonl")
    caplog.set_level("INFO")
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 4711)
        source.on_next("x" * 150)
        source.on_next("x" * 150)
        assert not recorder.is_disposed
        assert "process 4711 records to" in caplog.text
        assert disk.wait_for_disk(5)
        patch.setattr(os, "getpid", lambda: 4712)
        source.on_next("once more")
        recorder.dispose()
        late.dispose()
        late._sink._file.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("r.4711.jsonl", "r.4712.jsonl", "r.jsonl", "s.jsonl", "t.jsonl")
    ]
    texts = {name: [event.data for event in read(tmp_path / name)] for name in ("r.jsonl", "r.4711.jsonl")}
    assert texts == {"r.jsonl": ["before"], "r.4711.jsonl": ["x" * 150] * 2}
    assert [event.data for event in read(tmp_path / "r.4712.jsonl")] == ["once more"]
    assert read(tmp_path / "r.4711.jsonl").start == read(tmp_path / "r.jsonl").start


def test_forked_process_that_cannot_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A forked process that cannot make its file says so, and its recording ends; one that it forks may fare better."""
    source = Subject[str]()
    (tmp_path / "directory").mkdir()
    record({"a": source}, tmp_path / "directory" / "r.jsonl")
    assert disk.wait_for_disk(5)
    (tmp_path / "directory").rename(tmp_path / "moved")
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 4711)
        source.on_next("lost")
        assert disk.wait_for_disk(5)
        assert "r.4711.jsonl cannot be written: " in caplog.text
        (tmp_path / "moved").rename(tmp_path / "directory")
        patch.setattr(os, "getpid", lambda: 4712)
        source.on_next("kept")
        source.on_completed()
    assert [event.data for event in read(tmp_path / "directory" / "r.4712.jsonl")] == ["kept", None]


def test_forked_process_that_never_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording whose file cannot be made ends as any other."""
    source = Subject[str]()
    (tmp_path / "directory").mkdir()
    recorder = record({"a": source}, tmp_path / "directory" / "r.jsonl")
    assert disk.wait_for_disk(5)
    (tmp_path / "directory").rename(tmp_path / "moved")
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 4711)
        source.on_next("lost")
        assert disk.wait_for_disk(5)
        source.on_next("lost, too")
        assert recorder.is_disposed
    assert [path.name for path in (tmp_path / "moved").iterdir()] == ["r.jsonl"]


def test_bad_header(tmp_path: Path) -> None:
    """What a recording is of must fit into its first line, before there is a file."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        record({}, tmp_path / "r.jsonl", about={"a": {1}})
    with pytest.raises(ValueError, match="must be less than 1048576 bytes of JSON"):
        record({}, tmp_path / "r.jsonl", about={"a": "x" * 2**20})
    assert not (tmp_path / "r.jsonl").exists()


def test_full_disk(caplog: pytest.LogCaptureFixture) -> None:
    """A full disk ends a recording and is logged."""
    source = Subject[str]()
    recorder = record({"a": source}, "/dev/full")
    assert disk.wait_for_disk(5)
    source.on_next("x")
    assert recorder.is_disposed
    assert "/dev/full cannot be written" in caplog.text


def test_full_disk_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A disk that is full at the end is logged too."""

    class Full:
        def close(self) -> None:
            raise OSError("full")

    recorder = record({"a": Subject[str]()}, tmp_path / "r.jsonl")
    assert disk.wait_for_disk(5)
    file, recorder._sink._file = recorder._sink._file, Full()
    recorder.dispose()
    file.close()
    assert "cannot be closed: full" in caplog.text
