"""Signals that end a process reach the sockets before the server."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rxws.asgi.signals import Signals
from rxws.processes.stops import ONE_STOP

BOTH_LOOPS = True
Eventually = Callable[..., Any]

heard: list[Any] = []


@pytest.fixture(autouse=True)
def server() -> Iterator[None]:
    """Handle SIGTERM as a server does."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    yield
    signal.signal(signal.SIGTERM, before)
    heard.clear()


async def test_sockets_first(eventually: Eventually) -> None:
    """The server hears of the signal when the sockets are closed, though it comes from two sides; then at once."""
    closed = asyncio.Event()

    async def shut_down() -> None:
        heard.append("sockets")
        await closed.wait()
        heard.append("closed")

    signals = Signals(shut_down)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    await eventually(lambda: heard == ["sockets"])
    closed.set()
    await eventually(lambda: heard == ["sockets", "closed", signal.SIGTERM])
    os.kill(os.getpid(), signal.SIGTERM)
    assert heard[3:] == [signal.SIGTERM]
    signals.restore()
    os.kill(os.getpid(), signal.SIGTERM)
    assert heard[4:] == [signal.SIGTERM]


async def test_handlers_of_the_loop(eventually: Eventually) -> None:
    """A server that has its handler in the event loop, as granian has, hears when the sockets are closed, too."""
    loop, closed = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGUSR1):
        loop.add_signal_handler(number, heard.append, number)

    async def shut_down() -> None:
        heard.append("sockets")
        await closed.wait()
        heard.append("closed")

    signals = Signals(shut_down)
    signals.stand_before_loop()
    signals.stand_before_loop()
    try:
        os.kill(os.getpid(), signal.SIGUSR1)  # another signal is the loop's
        await eventually(lambda: heard == [signal.SIGUSR1])
        os.kill(os.getpid(), signal.SIGTERM)
        await eventually(lambda: heard[1:] == ["sockets"])
        await asyncio.sleep(ONE_STOP)
        os.kill(os.getpid(), signal.SIGTERM)  # who repeats it does not want to wait
        await eventually(lambda: heard[2:] == [signal.SIGTERM])
        closed.set()
        await eventually(lambda: heard[3:] == ["closed", signal.SIGTERM])
        signals.restore()
        os.kill(os.getpid(), signal.SIGUSR1)
        await eventually(lambda: heard[5:] == [signal.SIGUSR1])
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGUSR1)


async def test_wakeup_descriptor_of_others() -> None:
    """What others have set since stays; and one that has closed meanwhile is nobody's any more."""
    before = signal.set_wakeup_fd(-1)
    (mine, loops), (other, others) = socket.socketpair(), socket.socketpair()
    for one in (loops, others):
        one.setblocking(False)
    signal.set_wakeup_fd(loops.fileno())
    signals = Signals(asyncio.Event().wait)
    signals.stand_before_loop()
    signal.set_wakeup_fd(others.fileno())
    signals.restore()
    assert signal.set_wakeup_fd(loops.fileno()) == others.fileno()
    signals = Signals(asyncio.Event().wait)
    signals.stand_before_loop()
    loops.close()
    signals.restore()
    assert signal.set_wakeup_fd(before) == -1
    for one in (mine, other, others):
        one.close()


async def test_shut_down_that_raises(eventually: Eventually) -> None:
    """The server hears of it, whatever goes wrong."""

    async def shut_down() -> None:
        raise ValueError("no")

    signals = Signals(shut_down)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    os.kill(os.getpid(), signal.SIGTERM)
    await eventually(lambda: heard)
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
