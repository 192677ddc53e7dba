"""Recordings on a disk: slow, full, and in time."""

import threading
from pathlib import Path

import pytest
from reactivex.subject import Subject

from rxws.recording import Recording, read, record
from rxws.recording import writer as writer


def written() -> None:
    """Wait until what was given to the thread that writes is written."""
    writer._writers.submit(lambda: None).result(5)


def test_flushed_in_time(tmp_path: Path) -> None:
    """Lines are flushed while a recording goes on."""
    source = Subject[str]()
    recorder = record({"a": source}, tmp_path / "r.jsonl")
    source.on_next("x")
    written()
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


def test_slow_disk(tmp_path: Path) -> None:
    """What a slow disk cannot take is counted in the file."""
    source, disk = Subject[str](), threading.Event()
    writer._writers.submit(disk.wait)
    recorder = record({"a": source}, tmp_path / "r.jsonl")
    for _ in range(20):
        source.on_next("x" * (writer.MAX_QUEUED // 10))
    disk.set()
    written()
    source.on_next("last")
    recorder.dispose()
    written()
    events = list(read(tmp_path / "r.jsonl"))
    notes = [event.data.text for event in events if event.lane == "recording"]
    assert notes
    assert all(note.endswith("events are missing here: the disk was too slow") for note in notes)
    assert events[-1].data == "last"
    assert sum(int(note.split()[0]) for note in notes) + len(events) - len(notes) == 21
    assert 3 < len(events) < 15


def test_close_on_slow_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Closing does not wait forever for a disk."""
    disk = threading.Event()
    writer._writers.submit(disk.wait)
    writer.FileSink(Recording([]), tmp_path / "r.jsonl", 1_000_000, lambda item: item).close(timeout=0.01)
    assert "a recording's disk is slow" in caplog.text
    disk.set()
    written()
    assert list(read(tmp_path / "r.jsonl")) == []


def test_full_disk(caplog: pytest.LogCaptureFixture) -> None:
    """A full disk ends a recording and is logged."""
    source = Subject[str]()
    recorder = record({"a": source}, "/dev/full")
    written()
    source.on_next("x")
    assert recorder.is_disposed
    assert "/dev/full cannot be written" in caplog.text


def test_full_disk_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A disk that is full at the end is logged too."""

    class Full:
        def write(self, data: bytes) -> None: ...

        def flush(self) -> None: ...

        def close(self) -> None:
            raise OSError("full")

    recorder = record({"a": Subject[str]()}, tmp_path / "r.jsonl")
    written()
    file, recorder._sink._file = recorder._sink._file, Full()  # type: ignore[attr-defined]
    recorder.dispose()
    file.close()
    assert "cannot be closed: full" in caplog.text
