"""Processes that do the same, without a network: what they tell, and how they end before they begin."""

import os
import re
import signal
import subprocess
import sys
import time

PROGRAM = """
import os, signal, sys, time
from rxws.processes.workers import Workers

def note(text):
    print("ready:", len(text), end=" ")
    os.kill(os.getpid(), signal.SIGTERM)

def work(tell):
    {work}

handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)]
print("before", end=" ")
try:
    Workers(3, work, patience=5, ready=note).run()
finally:
    assert handlers == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)]
    print("after")
"""


def run(work: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", PROGRAM.format(work=work)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20)


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


def test_what_exits_says_why() -> None:
    finished = run("sys.exit('no configuration')")
    assert finished.returncode == 1
    assert finished.stderr.endswith("RuntimeError: a worker failed to start: SystemExit: no configuration\n")
    assert "after" in finished.stdout


def test_all_die_at_once() -> None:
    """When all workers die while their parent is stopped, it ends at once."""
    began = time.monotonic()
    finished = run("""
    parent = os.getppid()
    os.kill(parent, signal.SIGSTOP)
    if not os.fork():
        time.sleep(0.5)
        os.kill(parent, signal.SIGCONT)
        os._exit(0)
    raise LookupError("no database")
    """)
    assert finished.stderr.endswith("RuntimeError: a worker failed to start: LookupError: no database\n")
    assert time.monotonic() - began < 4, "it waits 5 s for those who do not stop"
