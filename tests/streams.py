"""What tests watch streams with."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final

from reactivex import Observable
from reactivex import operators as ops

import rxws

PACKAGE: Final = str(Path(rxws.__file__).parent)


def watch(**streams: Observable[Any]) -> list[Any]:
    """Note every notification of the streams, in order: `("name", value)`, `"name|"`, `("name#", error)`."""
    log: list[Any] = []
    for name, stream in streams.items():
        stream.subscribe(
            lambda value, name=name: log.append((name, value)),
            lambda error, name=name: log.append((f"{name}#", error)),
            lambda name=name: log.append(f"{name}|"),
        )
    return log


async def turns(number: int = 10) -> None:
    """Let the event loop turn."""
    for _ in range(number):
        await asyncio.sleep(0)


async def opened(socket: rxws.ClientWebSocket[Any, Any], timeout: float = 5) -> None:
    """Wait until a client is connected."""
    async with asyncio.timeout(timeout):
        await socket.states.pipe(ops.first(lambda state: isinstance(state, rxws.Open)))
    await turns()


async def reopened(socket: rxws.ClientWebSocket[Any, Any], timeout: float = 5) -> None:
    """Wait for a client's next connection, whatever its state is now."""
    async with asyncio.timeout(timeout):
        await socket.states.pipe(ops.skip(1), ops.first(lambda state: isinstance(state, rxws.Open)))
    await turns()


async def ended(socket: rxws.WebSocket[Any, Any], timeout: float = 5) -> rxws.Close:
    """Wait for the socket's end."""
    async with asyncio.timeout(timeout):
        return await socket.closed


def raising(error: BaseException) -> Any:
    def notify(*_: object) -> None:
        raise error

    return notify


def preempted(call: Callable[[], object], act: Callable[[], object], line: int) -> bool:
    """Make a call in a thread, and act when it is about to run its `line`th line of rxws; tell whether it came there.

    When the act waits for the call, at a lock, the call goes on.
    """
    reached, acted = threading.Event(), threading.Event()
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal lines
        if PACKAGE not in frame.f_code.co_filename:
            return None
        if event == "line":
            lines += 1
            if lines == line:
                reached.set()
                acted.wait(0.02)
        return trace

    def work() -> None:
        sys.settrace(trace)
        try:
            call()
        finally:
            sys.settrace(None)
            reached.set()

    thread = threading.Thread(target=work)
    thread.start()
    reached.wait()
    act()
    acted.set()
    thread.join()
    return lines >= line
