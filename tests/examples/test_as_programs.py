"""Each example as a program: it starts, answers, and stops on Ctrl-C; and the table of them is whole."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.examples.conftest import EXAMPLES

CLIENTS = sorted((EXAMPLES / "client").glob("*.py"))
PROGRAMS = [*sorted(EXAMPLES.glob("*.py"))] + [
    EXAMPLES / name for name in ("chat/server.py", "cluster/demo.py", "tape/server.py")
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_it_starts_listens_and_stops_on_ctrl_c(program: os.PathLike[str]) -> None:
    port = free_port()
    environment = {**os.environ, "PORT": str(port)}
    with subprocess.Popen(
        [sys.executable, program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=10)
    assert process.returncode == 0, output
    assert f"Running on http://127.0.0.1:{port}" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("program", CLIENTS, ids=lambda path: path.stem)
def test_a_client_runs_to_its_end(program: os.PathLike[str]) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", program]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    slow_machine = re.compile("^Executing <.*> took .* seconds\n", re.MULTILINE)
    assert slow_machine.sub("", finished.stderr) == ""
    assert len(finished.stdout.splitlines()) >= 2


def test_the_table_names_every_example() -> None:
    table = (EXAMPLES / "README.md").read_text()
    for program in (*PROGRAMS, *CLIENTS):
        assert f"({program.relative_to(EXAMPLES)})" in table
