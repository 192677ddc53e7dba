"""The tables and drawings of docs/architecture.md that are made from the code are what it makes today."""

import os
import subprocess
import sys

import pytest

from tests import traces


@pytest.mark.since_aiohttp(3, 14, 0)  # whose parser feeds each message when it is there
@pytest.mark.parametrize("name", traces.PARTS)
def test_made_part_is_fresh(name: str) -> None:
    """In a process of its own, since the trace is that of the fast wire, on asyncio's event loop."""
    environment = {key: value for key, value in os.environ.items() if key != "RXWS_WIRE"}
    command = [sys.executable, "-m", "tests.traces", "--print", name]
    run = subprocess.run(command, cwd=traces.ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    _, documented, _ = traces.between(traces.PAGE.read_text(encoding="utf-8"), name)
    assert documented == run.stdout.rstrip("\n"), f"run: {traces.COMMAND}"
