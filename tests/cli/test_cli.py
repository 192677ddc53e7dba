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


def test_demo_serves_its_page() -> None:
    """The demo says where it is, serves its page and stops on Ctrl-C."""
    with demo("--port", "0") as (process, line):
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line
        with urllib.request.urlopen(found[0], timeout=10) as response:
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert b"<title>rxws demo</title>" in response.read()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=10)
        assert (process.returncode, output, errors) == (0, "stopped\n", "")


def test_demo_port_taken() -> None:
    """The demo picks another port when its own is taken, and says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with demo("--port", str(port)) as (_, line):
            assert f"(port {port} is taken)" in line
            assert f":{port}," not in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["demo", "--port=99999"], "argument --port: the port must be 0 to 65535, not 99999"),
        (["demo", "--port=-1"], "argument --port: the port must be 0 to 65535, not -1"),
        (["demo", "--port=http"], "argument --port: the port must be 0 to 65535, not 'http'"),
        (["record", "ws://a", "--messages=-1"], "--messages: the number must be a positive whole number of messages"),
        (["record", "ws://a", "--messages=2.5"], "--messages: the number must be a positive whole number of messages"),
        (["record", "ws://a", "--seconds=nan"], "--seconds: the time must be a positive number of seconds, not nan"),
        (["marbles", "file", "--width=0"], "--width: the width must be a positive whole number of pixels or columns"),
        (["replay", "file", "--speed=0"], "argument --speed: speed must be a positive number, or inf, not 0"),
        (["replay", "file", "--serve=8080"], "argument --serve: an address is like :8080 or 0.0.0.0:8080, not '8080'"),
        (["connect", "http"], "argument URL: 'http' is no WebSocket URL"),
        (["connect", "ws://a", "-Hx"], "argument -H/--header: a header is like 'Name: value', not 'x'"),
    ],
)
def test_wrong_arguments(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong argument is refused before anything is tried, and the message says what was expected."""
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert (exit.value.code, says in capsys.readouterr().err) == (2, True)


def test_foreign_address(capsys: pytest.CaptureFixture[str]) -> None:
    """An address that this machine does not have is a clear error."""
    assert main(["demo", "--host", "192.0.2.1"]) == 1
    assert "cannot listen on 192.0.2.1:8080" in capsys.readouterr().err


def test_demo_without_psutil(tmp_path: Path) -> None:
    """Without psutil the demo says what to install."""
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


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command the program shows its usage."""
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert "COMMAND" in capsys.readouterr().err
