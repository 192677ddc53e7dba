"""A program that starts three workers, for tests of what they report and how they end."""

import os
import subprocess
import sys

PROGRAM = """
import os, signal, sys, time
from rxws.processes.workers import Workers

{before}
def note(text):
    print("ready:", len(text), end=" ")
    os.kill(os.getpid(), signal.SIGTERM)

def work(tell):
    {work}

handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)]
print("before", end=" ")
try:
    Workers(3, work, stop_timeout=5, ready=note).run()
finally:
    assert handlers == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)]
    print("after")
"""


def run(work: str, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program: `work` is what each worker does, and has `tell`; `before` is what the program does first."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM.format(work=work, before=before), *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20)
