"""`python -m rxws` as a user runs it."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rxws.cli import main


@contextmanager
def demo(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the demo, and yield the process and its first line."""
    command = [sys.executable, "-m", "rxws", "demo", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def test_the_demo_says_where_it_is_serves_its_page_and_stops_on_ctrl_c() -> None:
    with demo("--port", "0") as (process, line):
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line
        with urllib.request.urlopen(found[0], timeout=10) as response:
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert b"<title>rxws demo</title>" in response.read()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=10)
        assert (process.returncode, output, errors) == (0, "stopped\n", "")


def test_the_demo_picks_another_port_when_its_own_is_taken_and_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with demo("--port", str(port)) as (_, line):
            assert f"(port {port} is taken)" in line
            assert f":{port}," not in line


@pytest.mark.parametrize("port", ["99999", "-1", "http"])
def test_a_port_that_is_none_is_a_clear_error(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["demo", f"--port={port}"])
    assert f"argument --port: invalid port value: '{port}'" in capsys.readouterr().err


def test_an_address_that_is_not_this_machine_s_is_a_clear_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--host", "192.0.2.1"]) == 1
    assert "cannot listen on 192.0.2.1:8080" in capsys.readouterr().err


def test_without_psutil_the_demo_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "psutil.py").write_text("raise ImportError('no', name='psutil')")
    result = subprocess.run(
        [sys.executable, "-m", "rxws", "demo"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == 'the demo needs psutil: pip install "rxws[demo]"\n'


def test_without_a_command_it_shows_its_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert "COMMAND" in capsys.readouterr().err
