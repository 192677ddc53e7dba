"""What a worker tells the process that started it."""

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
