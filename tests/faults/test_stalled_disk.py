"""A disk that takes nothing, below recordings of sockets: a pipe that nobody reads."""

import asyncio
import os
import time
from pathlib import Path

from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws.recording import disk, read, record
from tests.integration.server import serving

BOTH_LOOPS = True
SOCKETS = 5


class Disk:
    """A file whose writers wait until it is read."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "disk"
        os.mkfifo(self.path)
        self._end = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.taken = directory / "taken.jsonl"

    def take(self) -> None:
        """Take everything, until all writers have closed it."""
        os.set_blocking(self._end, True)
        with self.taken.open("wb") as taken:
            while chunk := os.read(self._end, 65_536):
                taken.write(chunk)
        os.close(self._end)


async def test_closing_sockets_do_not_wait_for_the_disk(tmp_path: Path) -> None:
    """Each of five recorded sockets stalled the event loop for a second at its end; nothing of them is lost."""
    numbers, stalled = iter(range(SOCKETS)), Disk(tmp_path)

    @rxws.websocket
    def echo(socket: rxws.WebSocket[str, str], incoming: Observable[str]) -> Observable[str]:
        number = next(numbers)
        record(socket, tmp_path / f"{number}.jsonl" if number else stalled.path)
        return incoming

    message = "x" * 200_000  # more than a pipe holds
    async with serving(echo) as server:
        sockets = [await rxws.connect(server.url) for _ in range(SOCKETS)]
        for socket in sockets:
            answer = asyncio.ensure_future(socket.incoming.pipe(ops.first()))
            socket.outgoing.on_next(message)
            assert await answer == message
        began = time.monotonic()
        for socket in sockets:
            socket.close()
        for socket in [*sockets, *server.sockets]:
            await socket.closed
        assert time.monotonic() - began < SOCKETS / 2
        assert not disk.wait_for_disk(0)
    await asyncio.to_thread(stalled.take)
    for file in [stalled.taken, *(tmp_path / f"{number}.jsonl" for number in range(1, SOCKETS))]:
        events = [(event.lane, event.kind) for event in read(file)]
        assert [kind for lane, kind in events if lane == "incoming"] == ["next", "close", "completed"]
        assert events[-1] == ("socket", "completed")
