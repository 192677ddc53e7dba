"""A real server in a process of its own: it is started, stopped, killed and started again on the same port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import rxws
from tests.streams import opened, reopened

DEADLINE = 60.0
"""Seconds for a server to start, and for it to end."""


class Server:
    """A program that serves on `port`; what it prints goes to `log`."""

    def __init__(self, folder: Path, *command: str | Path, port: int, env: Mapping[str, str] | None = None) -> None:
        self.port = port
        self.log = folder / "server.log"
        self._folder = folder
        self._command = command
        self._env = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin", **(env or {})}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        with self.log.open("ab") as log:
            self._process = process = await asyncio.create_subprocess_exec(
                *self._command, cwd=self._folder, env=self._env, stdout=log, stderr=log, start_new_session=True
            )
        try:
            async with asyncio.timeout(DEADLINE):
                while not await self._accepts():
                    assert process.returncode is None, f"it ended with {process.returncode}"
                    await asyncio.sleep(0.02)
        except (AssertionError, TimeoutError) as error:
            raise RuntimeError(f"{self._command[0]} did not start:\n{self.output[-5000:]}") from error

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Have it end as it does when it is asked to, and wait for that."""
        assert self._process is not None
        self.signal(how)
        return await self.ended()

    async def ended(self) -> int:
        """Wait until it has ended."""
        assert self._process is not None
        async with asyncio.timeout(DEADLINE):
            return await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self) -> None:
        """End it as a crash of the machine does, with what it has started."""
        self.clean_up()
        await self.ended()

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")

    async def _accepts(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    def clean_up(self) -> None:
        """Leave nothing behind, not even what the server has started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


@asynccontextmanager
async def serving(
    folder: Path, *command: str | Path, port: int, env: Mapping[str, str] | None = None
) -> AsyncIterator[Server]:
    """Run a server until the block is left."""
    server = Server(folder, *command, port=port, env=env)
    try:
        await server.start()
        yield server
    finally:
        server.clean_up()
        if server._process is not None:
            await server._process.wait()


NUMBERS = range(300)
"""What a test sends while the server restarts."""


async def send_through_restarts(
    server: Server, socket: rxws.ClientWebSocket[Any, Any], send: Callable[[int], object], *, crash: bool = True
) -> None:
    """Send the numbers, in bursts of ten; meanwhile the server is stopped and started, later killed and started."""

    async def restart(end: Callable[[], Awaitable[object]]) -> None:
        await end()
        await server.start()

    await opened(socket, DEADLINE)
    async with asyncio.TaskGroup() as group:
        for number in NUMBERS:
            send(number)
            if number == 65:
                restarting = group.create_task(restart(server.stop))
            if number == 165:
                await restarting
                await opened(socket, DEADLINE)
                await asyncio.sleep(0.1)  # for what was kept
            if number == 175 and crash:
                group.create_task(restart(server.kill))
            if number % 10 == 0:
                await asyncio.sleep(0.015)


async def until(condition: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    """Wait until a condition holds; fail, and say what was waited for, after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what}") from None


def causes(socket: rxws.ClientWebSocket[Any, Any]) -> list[Exception]:
    """Note why a client has to wait for another connection, but for attempts that nobody answers."""
    noted: list[Exception] = []

    def note(state: rxws.State) -> None:
        if isinstance(state, rxws.Waiting) and not isinstance(state.because, rxws.ConnectError):
            noted.append(state.because)

    socket.states.subscribe(note)
    return noted


async def rotate(socket: rxws.ClientWebSocket[Any, Any]) -> list[Exception]:
    """Replace the connection, which needs an answered ping and a login beside the present one; return the errors."""
    errors: list[Exception] = []
    with socket.errors.subscribe(errors.append):
        socket.rotate()
        await reopened(socket, DEADLINE)
    return errors


def check_account(sent: Iterable[Any], arrived: Iterable[Any], told: Iterable[Any]) -> None:
    """Check that all that was sent arrived, once and in order, or was told to be undelivered or dropped."""
    sent, arrived, told = list(sent), list(arrived), list(told)
    assert [one for index, one in enumerate(arrived) if one in arrived[:index]] == [], "arrived twice"
    assert [one for one in sent if one not in arrived and one not in told] == [], "neither arrived nor told"
    assert [one for one in arrived if one not in sent] == [], "nobody sent it"
    assert arrived == [one for one in sent if one in arrived], "not in order"


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Do something until the block is left."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
