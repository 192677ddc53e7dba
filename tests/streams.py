"""What tests watch streams with."""

from __future__ import annotations

import asyncio
from typing import Any

from reactivex import Observable
from reactivex import operators as ops

import rxws


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
