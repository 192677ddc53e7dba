"""Each example as a program: it starts, answers, and stops on Ctrl-C; and the table of them is whole."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pytest

from tests.examples.conftest import EXAMPLES
from tests.ports import free_port

CLIENTS = sorted((EXAMPLES / "client").glob("*.py"))
RECIPES = sorted((EXAMPLES / "recipes").glob("*.py"))
OWN_SERVER = [EXAMPLES / "recipes" / name for name in ("exchange.py", "json_rpc.py")]
"""Recipes that bring a server; `tests/servers` has those of the others."""
PROGRAMS = [*sorted(EXAMPLES.glob("*.py"))] + [
    EXAMPLES / name for name in ("chat/server.py", "cluster/demo.py", "tape/server.py")
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_it_starts_listens_and_stops_on_ctrl_c(program: os.PathLike[str]) -> None:
    port = free_port()
    running = f" on http://127.0.0.1:{port}"  # aiohttp's Running, Uvicorn running
    command = [sys.executable, "-u", program]
    environment = {**os.environ, "PORT": str(port)}
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT) as process,
    ):

        def said() -> str:
            return os.pread(output.fileno(), 2**20, 0).decode()

        deadline = time.monotonic() + 20
        while running not in said() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        with socket.socket() as probe:
            answer = probe.connect_ex(("127.0.0.1", port))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0, said()
        assert running in said()
        assert answer == 0
        assert "Traceback" not in said()


@pytest.mark.parametrize("program", [*CLIENTS, *OWN_SERVER], ids=lambda path: path.stem)
def test_a_client_runs_to_its_end(program: os.PathLike[str]) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", program]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    slow_machine = re.compile("^Executing <.*> took .* seconds\n", re.MULTILINE)
    assert slow_machine.sub("", finished.stderr) == ""
    assert len(finished.stdout.splitlines()) >= 2


def test_the_table_names_every_example() -> None:
    table = (EXAMPLES / "README.md").read_text()
    for program in (*PROGRAMS, *CLIENTS, *RECIPES):
        assert f"({program.relative_to(EXAMPLES)})" in table
