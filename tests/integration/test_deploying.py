"""What docs/deploying.md says, run: the unit of systemd, the steps of the container, gunicorn, restarts under load."""

from __future__ import annotations

import asyncio
import configparser
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import rxws
from tests.integration.real_proxies import PATH
from tests.integration.test_behind_a_proxy import Client
from tests.ports import free_port

pytestmark = pytest.mark.fast_wire  # the wire does not matter here
Eventually = Callable[..., Any]
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/deploying.md").read_text()
AS_SYSTEMD = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"
"""Passes a socket as systemd does: as descriptor 3."""
BIN = Path(sys.executable).parent


def block(language: str, number: int = 0) -> str:
    """Give a block of code of the page."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[number]


class Program:
    """A program that serves on a port."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.url = f"ws://127.0.0.1:{port}/echo"
        self._health = f"http://127.0.0.1:{port}/health"

    async def ready(self) -> None:
        async with aiohttp.ClientSession() as session, asyncio.timeout(30):
            while True:
                try:
                    async with session.get(self._health) as answer:
                        assert await answer.text() == "ok\n"
                        return
                except aiohttp.ClientConnectionError:
                    assert self.process.poll() is None, self.process.communicate()
                    await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Tell it to stop, and wait until it has, well."""
        self.process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.to_thread(self.process.communicate, timeout=20)
        assert self.process.returncode == 0, output


@asynccontextmanager
async def running(command: Sequence[str | Path], port: int, folder: Path, **options: Any) -> AsyncIterator[Program]:
    environment = {**os.environ, "PATH": f"{BIN}:{PATH}", "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    ) as process:
        try:
            program = Program(process, port)
            await program.ready()
            yield program
        finally:
            if process.poll() is None:
                process.kill()


async def clients(url: str, stack: AsyncExitStack, count: int = 6) -> list[Client]:
    back = rxws.Backoff(initial=0.05, maximum=0.5, final="never")
    return [Client(await stack.enter_async_context(rxws.connect(url, reconnect=back))) for _ in range(count)]


async def all_came_back(found: list[Client], eventually: Eventually) -> None:
    """Each has seen 1001 and nothing else, is there again, and knows what may be lost."""
    await eventually(lambda: all({client.sent - 1} & {*client.got, *client.lost} for client in found))
    await eventually(lambda: all(client.codes for client in found))  # a slow server closes behind the last message
    for client in found:
        assert client.codes == {1001}, client.ends
        assert client.got == sorted(set(client.got))
        assert {*range(client.sent)} - {*client.got} <= {*client.lost}


def service(folder: Path, port: int) -> Path:
    file = folder / "service.py"
    file.write_text(block("python").replace("8080", str(port)).replace("0.0.0.0", "127.0.0.1"))
    return file


async def test_units_of_systemd(tmp_path: Path, eventually: Eventually) -> None:
    """systemd has nothing to say against the units; a restart on its socket refuses nobody, and all come back."""
    port = free_port()
    file = service(tmp_path, port)
    units = [block("ini", number) for number in range(2)]
    units[1] = units[1].replace("/opt/service/venv/bin/python", sys.executable).replace("/opt/service", str(tmp_path))
    for name, text in zip(("service.socket", "service.service"), units, strict=True):
        (tmp_path / name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", tmp_path / "service.service"]
    verified = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert [line for line in verified.stderr.splitlines() if str(tmp_path) in line] == []
    assert verified.returncode == 0, verified.stderr

    unit = configparser.ConfigParser(strict=False)
    unit.read_string(units[1])
    name, _, value = unit["Service"]["Environment"].partition("=")
    start = shlex.split(unit["Service"]["ExecStart"])
    assert start[-1] == str(file)
    with socket.create_server(("127.0.0.1", port)) as listening:
        given = listening.fileno()
        options: dict[str, Any] = {"env": {name: value, "LISTEN_FDS": "1"}, "pass_fds": [given]}
        as_systemd = [sys.executable, "-c", AS_SYSTEMD, str(given), *start]
        async with AsyncExitStack() as stack:
            async with running(as_systemd, port, tmp_path, **options) as program:
                found = await clients(program.url, stack)
                sending = [asyncio.ensure_future(client.send(100)) for client in found]
                await eventually(lambda: all(client.got for client in found))
                await program.stop()
            late = asyncio.ensure_future(rxws.connect(program.url).__aenter__())  # while it is down
            async with running(as_systemd, port, tmp_path, **options) as program:
                await asyncio.gather(*sending)
                await all_came_back(found, eventually)
                assert (await late).protocol is None
                (await late).dispose()
                await program.stop()


async def test_steps_of_the_container(tmp_path: Path, eventually: Eventually) -> None:
    """The steps of the container's file give what its command runs, which stops with 1001 and status 0."""
    port, place = free_port(), tmp_path / "app"
    service(tmp_path, port)
    (tmp_path / "requirements.txt").write_text(f"rxws[fast] @ {ROOT.as_uri()}\n")
    installed = tmp_path / "installed"
    pip = {"PIP_TARGET": str(installed), "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PATH": f"{BIN}:{PATH}"}
    command: list[str] = []
    for line in block("dockerfile").splitlines():
        step, _, rest = line.partition(" ")
        match step:
            case "WORKDIR":
                assert rest == "/app"
                place.mkdir()
            case "COPY":
                shutil.copy(tmp_path / rest.split()[0], place)
            case "RUN":
                subprocess.run(rest, shell=True, check=True, cwd=place, env={**os.environ, **pip}, timeout=120)
            case "CMD":
                command = [part.strip('" ') for part in rest.strip("[]").split(",")]
            case _:
                assert step in ("FROM", "USER", "EXPOSE"), line
    assert (installed / "rxws/py.typed").exists()
    async with AsyncExitStack() as stack:
        env = {"PYTHONPATH": str(installed), "WORKERS": "2"}
        async with running(command, port, place, env=env) as program:
            socket = await stack.enter_async_context(rxws.connect(program.url))
            assert await socket.request("hello", matches=lambda _: True) == "hello"
            await program.stop()
        assert (await socket.closed).code == 1001


async def test_gunicorn(tmp_path: Path, eventually: Eventually) -> None:
    """aiohttp's workers of gunicorn serve; SIGHUP replaces them under load, and all come back; SIGTERM is 1001."""
    port = free_port()
    service(tmp_path, port)
    command = shlex.split(block("sh").replace("0.0.0.0:8080", f"127.0.0.1:{port}"))
    async with AsyncExitStack() as stack:
        async with running(command, port, tmp_path) as program:
            found = await clients(program.url, stack)
            sending = [asyncio.ensure_future(client.send(100)) for client in found]
            await eventually(lambda: all(client.got for client in found))
            program.process.send_signal(signal.SIGHUP)
            await asyncio.gather(*sending)
            await all_came_back(found, eventually)
            last = await stack.enter_async_context(rxws.connect(program.url))
            await program.stop()
        assert (await last.closed).code == 1001
