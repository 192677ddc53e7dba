"""A real NATS server with JetStream, which tests start, stop, kill and start again."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from tests.ports import free_port

SERVER = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or "nats-server"
_names = itertools.count()


class Broker:
    """One server, on a port of its own that it keeps."""

    def __init__(self, directory: Path, settings: str = "", *, jetstream: bool = True, more: str = "") -> None:
        self.jetstream = jetstream
        self.more = more
        self.directory = directory
        self.settings = settings
        self.port = free_port()
        self.monitor = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def fresh(self) -> str:
        """A URL with a stream of its own."""
        return f"{self.url}/test{next(_names)}"

    def start(self) -> None:
        """Start, and wait until it listens."""
        configuration = self.directory / "nats.conf"
        lines = [f'listen: "127.0.0.1:{self.port}"', f'http: "127.0.0.1:{self.monitor}"']
        if self.jetstream:
            lines.append(f'jetstream {{ store_dir: "{self.directory}/store", {self.settings} }}')
        configuration.write_text("\n".join([*lines, self.more]))
        self.process = subprocess.Popen(
            [SERVER, "-c", str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"nats-server does not listen: see {SERVER} -c {configuration}")

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it, without a warning unless `how` is one."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *because: object) -> None:
        self.stop()

    async def restart(self, away: float) -> None:
        """Kill it, and start it again after some seconds."""
        self.stop()
        await asyncio.sleep(away)
        await asyncio.to_thread(self.start)
