"""What a worker tells the process that started it."""

from pathlib import Path

from rxws.recording import read
from tests.processes.program import run


def test_ready_once() -> None:
    """The parent hears once that all are ready, and nothing is printed twice."""
    finished = run("""
    done = []
    signal.signal(signal.SIGTERM, lambda number, frame: done.append(number))
    tell.ready("x" * 1000)
    tell.ready("again")
    while not done:
        time.sleep(0.01)
    """)
    assert (finished.stdout, finished.stderr) == ("before ready: 499 after\n", "")


def test_what_exits_says_why() -> None:
    finished = run("sys.exit('no configuration')")
    assert finished.returncode == 1
    assert finished.stderr.endswith("RuntimeError: a worker failed to start: SystemExit: no configuration\n")
    assert "after" in finished.stdout


RECORDING = """
from reactivex.subject import Subject
from rxws.recording import record
source = Subject()
recorder = record({"a": source}, sys.argv[1])
source.on_next("parent")
"""


def test_recording_begun_before_the_fork(tmp_path: Path) -> None:
    """A recording that was begun before the fork goes on in each worker, in a file of its own, to its last line."""
    work = """
    done = []
    signal.signal(signal.SIGTERM, lambda number, frame: done.append(number))
    source.on_next(os.getpid())
    tell.ready()
    while not done:
        time.sleep(0.01)
    for number in range(1000):
        source.on_next(number)
    source.on_completed()
    """
    finished = run(work, str(tmp_path / "r.jsonl"), before=RECORDING)
    assert (finished.returncode, finished.stdout) == (0, "before ready: 0 after\n"), finished.stderr
    assert "multi-threaded" not in finished.stderr
    assert [event.data for event in read(tmp_path / "r.jsonl")] == ["parent"]
    others = sorted(tmp_path.glob("r.*.jsonl"))
    assert len(others) == 3
    for path in others:
        events = list(read(path))
        assert [event.data for event in events] == [int(path.name.split(".")[1]), *range(1000), None]
        assert 0 < events[0].time < 15
