"""Processes that do the same, without a network: how they end before they begin."""

import os
import re
import signal
import time

from tests.processes.program import run


def test_end_before_ready() -> None:
    """A worker that ends before it is ready is an error, even if a process that it started still has the pipe."""
    finished = run("""
    started = os.fork()
    if not started:
        os.close(1)
        os.close(2)
        time.sleep(60)
        os._exit(0)
    print(f"<{started}>", flush=True)
    os._exit(3)
    """)
    for started in re.findall(r"<(\d+)>", finished.stdout):
        os.kill(int(started), signal.SIGKILL)
    assert finished.returncode == 1
    assert finished.stderr.endswith("RuntimeError: a worker failed to start: ended with status 3\n")


def test_all_die_at_once() -> None:
    """When all workers die while their parent is stopped, it ends at once."""
    finished = run("""
    parent = os.getppid()
    os.kill(parent, signal.SIGSTOP)
    if not os.fork():
        time.sleep(0.5)
        print(f"({time.monotonic()})", flush=True)
        os.kill(parent, signal.SIGCONT)
        os._exit(0)
    raise LookupError("no database")
    """)
    ended = time.monotonic()
    assert finished.stderr.endswith("RuntimeError: a worker failed to start: LookupError: no database\n")
    continued = max(map(float, re.findall(r"\((.+)\)", finished.stdout)))
    assert ended - continued < 4, "it waits 5 s for those who do not stop"
