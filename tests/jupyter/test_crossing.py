"""The way of one subscription from thread to thread."""

import asyncio
from typing import Any

import pytest
from reactivex import Observer

from rxws.jupyter.connection.crossing import Crossing
from rxws.rx.holds import current_source
from rxws.rx.loop_thread import LoopThread
from tests.streams import turns
from tests.threads import in_a_thread


class Source:
    gone = False

    def __init__(self) -> None:
        self.reported: list[Exception] = []

    def hold(self) -> None: ...

    def release(self) -> None: ...

    def report(self, error: Exception) -> None:
        self.reported.append(error)


async def test_observer_that_raises() -> None:
    """What an observer raises is for the item's source, and the items behind still come, each with its own source."""
    source, seen, error = Source(), list[Any](), ValueError("first")

    def take(item: int) -> None:
        seen.append((item, current_source.get()))
        if item == 1:
            raise error

    loop = asyncio.get_running_loop()
    crossing = Crossing(Observer(take), LoopThread(loop), loop, print)
    token = current_source.set(source)
    crossing.on_next(1)
    current_source.reset(token)
    crossing.on_next(2)
    await turns()
    assert (seen, source.reported) == ([(1, crossing), (2, None)], [error])


async def test_observer_that_is_interrupted() -> None:
    """An interrupt ends the loop's run, but not the stream: when the loop runs again, the items behind come."""

    class Here:
        def __init__(self) -> None:
            self.calls: list[Any] = []
            self.call_soon = self.call_soon_threadsafe = self.calls.append

    def take(item: int) -> None:
        seen.append(item)
        if item == 1:
            raise KeyboardInterrupt

    here, seen = Here(), list[int]()
    loop: Any = here
    crossing = Crossing(Observer(take), LoopThread(asyncio.get_running_loop()), loop, print)
    for item in (1, 2, 3):
        crossing.on_next(item)
    with pytest.raises(KeyboardInterrupt):
        here.calls.pop()()
    here.calls.pop()()
    assert (seen, here.calls) == ([1, 2, 3], [])


async def test_held_from_another_thread() -> None:
    """One who works on a third event loop may hold it, and let it go on: the loop here wakes up for that."""
    seen = list[int]()
    loop = asyncio.get_running_loop()
    crossing = Crossing(Observer(seen.append), LoopThread(loop), loop, print)
    in_a_thread(crossing.hold)
    for number in range(3):
        crossing.on_next(number)
    await turns()
    assert seen == []
    in_a_thread(crossing.release)
    await turns()
    assert seen == [0, 1, 2]
