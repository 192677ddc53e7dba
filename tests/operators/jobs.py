import asyncio
from typing import Any

from reactivex import Observable
from reactivex.disposable import Disposable
from reactivex.subject import Subject

from rxws.rx.holds import Held
from rxws.testing import serve
from tests.streams import ended, turns


class Jobs:
    """A coroutine function whose calls end when a test says so."""

    def __init__(self) -> None:
        self.waiting: dict[Any, asyncio.Future[Any]] = {}
        self.started: list[Any] = []
        self.cancelled: list[Any] = []

    async def __call__(self, item: Any) -> Any:
        self.started.append(item)
        self.waiting[item] = asyncio.get_running_loop().create_future()
        try:
            return await self.waiting[item]
        except asyncio.CancelledError:
            self.cancelled.append(item)
            raise

    async def end(self, item: Any, result: Any = None) -> None:
        future = self.waiting.pop(item)
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result if result is not None else f"{item}!")
        await turns()


async def finish(jobs: Jobs) -> None:
    while jobs.waiting:
        await jobs.end(next(iter(jobs.waiting)))


async def come_and_go(room: Subject[str], number: int) -> list[Exception]:
    """Let so many clients say their number in a room, each to leave before the next comes; give what they were told."""
    told: list[Exception] = []

    def handler(incoming: Any, errors: Any) -> None:
        errors.subscribe(told.append)
        incoming.subscribe(room.on_next)

    for one in range(number):
        socket, peer = serve(handler)
        peer.send(str(one))
        await turns(2)
        peer.drop()
        await ended(socket)
    return told


class Heedless(Observable[Any]):
    """A source that emits although it was disposed."""

    def subscribe(self, on_next: Any = None, *notify: Any, scheduler: Any = None) -> Disposable:
        self.on_next = on_next
        return Disposable()


class Owner(Held):
    """A source that counts its holds, and its items in hand."""

    gone = False

    def __init__(self) -> None:
        self._held = self.in_hand = 0
        self.reported: list[Exception] = []
        self.report = self.reported.append

    def _follow_holds(self) -> None:
        pass

    def take_in_hand(self) -> None:
        self.in_hand += 1

    def let_go(self) -> None:
        self.in_hand -= 1
