"""A program that runs `rxws.run(app, workers=...)`, and the processes it consists of."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

PROGRAM = """
import asyncio, os, sys, time
import rxws
from aiohttp import web

@rxws.websocket
def echo(incoming, outgoing):
    outgoing.on_next(str(os.getpid()))
    return incoming

options = {{}}
app = web.Application()
app.router.add_get("/", echo)
rxws.setup(app)
{more}
if __name__ == "__main__":
    rxws.run(app, **{{"host": "127.0.0.1", "port": 0, "workers": {workers}, **options}})
    print("over")
"""


class Crew:
    """The program, while it runs and after."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.port = 0
        self.all: set[psutil.Process] = set()
        """All processes below it that there have been, as far as anybody asked."""

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    @property
    def workers(self) -> list[psutil.Process]:
        """The workers that run now."""
        try:
            program = psutil.Process(self.process.pid)
            self.all.update(program.children(recursive=True))
            return [worker for worker in program.children() if runs(worker)]
        except psutil.NoSuchProcess:
            return []

    @property
    def left(self) -> list[psutil.Process]:
        """Those of `all` that run still."""
        return [worker for worker in self.all if runs(worker)]

    async def ready(self) -> None:
        """Wait until all workers serve."""
        assert self.process.stdout is not None
        line = (await asyncio.wait_for(self.process.stdout.readline(), 20)).decode()
        found = re.search(r"Running on http://127.0.0.1:(\d+)", line)
        assert found, line
        self.port = int(found[1])
        assert self.workers

    async def output(self, timeout: float = 10) -> tuple[str, str]:
        """Wait for the end; give what it has printed since it was ready."""
        output, errors = await asyncio.wait_for(self.process.communicate(), timeout)
        return output.decode(), errors.decode()

    async def terminate(self, how: signal.Signals = signal.SIGTERM) -> tuple[str, str]:
        """Tell it to stop, and wait until it has."""
        self.process.send_signal(how)
        return await self.output()


@asynccontextmanager
async def crew(directory: Path, more: str = "", workers: int = 3, *, ready: bool = True) -> AsyncIterator[Crew]:
    """Run the program, with more in it."""
    file = directory / "program.py"
    file.write_text(PROGRAM.format(more=more, workers=workers))
    async with started(file, ready=ready) as running:
        yield running


@asynccontextmanager
async def started(
    file: Path, *, ready: bool = True, below: tuple[str, ...] = (), **environment: str
) -> AsyncIterator[Crew]:
    """Run a program in a process group of its own; nothing of it is left afterwards, whatever it has done.

    Another program may run it: the one `below` which it stands on the command line.
    """
    process = await asyncio.create_subprocess_exec(
        *below,
        sys.executable,
        file,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        process_group=0,
    )
    running = Crew(process)
    try:
        if ready:
            await running.ready()
        yield running
    finally:
        for one in (*running.workers, *running.left):  # asked for its workers, it knows all
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


def runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
