"""The demo as a user runs it."""

import errno
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
        assert f"its socket {found[0].replace('http', 'ws')}/telemetry" in line
        with urllib.request.urlopen(found[0], timeout=10) as response:
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert b"<title>rxws demo</title>" in response.read()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
        assert (process.returncode, output, errors) == (0, "stopped\n", "")


def test_demo_port_taken() -> None:
    """The demo picks another port when its own is taken, and says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with demo("--port", str(port)) as (_, line):
            assert f"(port {port} is taken)" in line
            assert f":{port}," not in line


def test_port_that_is_forbidden(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A port that this user may not have is not called taken."""

    def forbid(address: tuple[str, int]) -> socket.socket:
        assert address == ("127.0.0.1", 80)
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(socket, "create_server", forbid)
    assert main(["demo", "--port", "80"]) == 1
    assert capsys.readouterr().err == "rxws: cannot listen on 127.0.0.1:80: Permission denied\n"


def test_foreign_address(capsys: pytest.CaptureFixture[str]) -> None:
    """An address that this machine does not have is a clear error."""
    assert main(["demo", "--host", "192.0.2.1"]) == 1
    assert capsys.readouterr().err.startswith("rxws: cannot listen on 192.0.2.1:8080")


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
    assert result.stderr == 'rxws: the demo needs psutil: pip install "rxws[demo]"\n'
