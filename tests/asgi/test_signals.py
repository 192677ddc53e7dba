"""Signals that end a process reach the sockets before the server."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rxws.asgi.signals import Signals

heard: list[Any] = []


@pytest.fixture(autouse=True)
def server() -> Iterator[None]:
    """Handle SIGTERM as a server does."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    yield
    signal.signal(signal.SIGTERM, before)
    heard.clear()


async def test_sockets_first() -> None:
    """The server hears of the signal when the sockets are closed; a second signal waits for nothing."""
    closed = asyncio.Event()

    async def shut_down() -> None:
        heard.append("sockets")
        await closed.wait()
        heard.append("closed")

    signals = Signals(shut_down)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.01)
    assert heard == ["sockets"]
    closed.set()
    await asyncio.sleep(0.01)
    assert heard == ["sockets", "closed", signal.SIGTERM]
    os.kill(os.getpid(), signal.SIGTERM)
    assert heard[3:] == [signal.SIGTERM]
    signals.restore()
    os.kill(os.getpid(), signal.SIGTERM)
    assert heard[4:] == [signal.SIGTERM]


async def test_shut_down_that_raises() -> None:
    """The server hears of it, whatever goes wrong."""

    async def shut_down() -> None:
        raise ValueError("no")

    signals = Signals(shut_down)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.01)
    signals.restore()
    assert heard == [signal.SIGTERM]


async def test_what_is_left_alone() -> None:
    """A signal that nobody handles, the default handler, and another thread's loop are left as they are."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    Signals(asyncio.Event().wait).restore()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    async def in_a_thread() -> None:
        Signals(asyncio.Event().wait)

    mine = signal.signal(signal.SIGTERM, lambda number, frame: None)
    handler = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=lambda: asyncio.run(in_a_thread()))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is handler
    assert mine is signal.SIG_DFL


async def test_others_that_came_since_stay() -> None:
    """A handler that was put over ours is not replaced."""
    signals = Signals(asyncio.Event().wait)
    over = lambda number, frame: None  # noqa: E731
    signal.signal(signal.SIGTERM, over)
    signals.restore()
    assert signal.getsignal(signal.SIGTERM) is over
