"""A TCP proxy that breaks connections at chosen bytes, as networks do."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

FORGOTTEN = 3.0
"""Seconds after which a network has forgotten such a connection: servers may wait for a request for ever."""

How = Literal["cut", "reset", "stall", "half_open"]
Side = Literal["up", "down"]


@dataclass(frozen=True)
class Fault:
    """What happens to a connection when `after` bytes have passed on one `side` of it.

    `cut` closes both ends, `reset` resets both, `stall` reads nothing more on that side, `half_open` swallows all that
    comes on either side and hides from each end that the other one leaves. These two last at most `FORGOTTEN`.
    """

    how: How
    after: int
    side: Side


class Proxy:
    """Passes bytes to and fro; the next connections meet `faults`, one each, then no more."""

    def __init__(self, port: int) -> None:
        self.faults: deque[Fault | None] = deque()
        self.connections = 0
        self.refusing = False
        self.port = 0
        self._target = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    def break_all(self, how: Literal["cut", "reset"]) -> None:
        """Break the connections that are open now."""
        for writer in self._writers:
            _break(writer, how)

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        if self.refusing:
            writer.transport.abort()
            return
        fault = self.faults.popleft() if self.faults else None
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        both = writer, up_writer
        self._writers.update(both)
        silent, gone = asyncio.Event(), asyncio.Event()
        try:
            await asyncio.gather(
                self._pass(reader, up_writer, "up", fault, both, silent, gone),
                self._pass(up_reader, writer, "down", fault, both, silent, gone),
            )
        except asyncio.CancelledError:
            pass
        finally:
            self._writers.difference_update(both)
            for one in both:
                one.transport.abort()
            self._tasks.discard(task)

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        side: Side,
        fault: Fault | None,
        both: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        silent: asyncio.Event,
        gone: asyncio.Event,
    ) -> None:
        passed = 0
        mine = fault is not None and fault.side == side
        try:
            while chunk := await reader.read(65536):
                if silent.is_set():
                    continue
                if mine and fault is not None and passed + len(chunk) >= fault.after:
                    writer.write(chunk[: fault.after - passed])
                    passed += len(chunk)
                    if fault.how in ("cut", "reset"):
                        await asyncio.sleep(0)
                        for one in both:
                            _break(one, fault.how)
                        return
                    if fault.how == "half_open":
                        silent.set()
                    asyncio.get_running_loop().call_later(FORGOTTEN, lambda: [_break(one, "cut") for one in both])
                    if fault.how == "stall":
                        await gone.wait()
                        return
                    continue
                passed += len(chunk)
                writer.write(chunk)
                await writer.drain()
        except (ConnectionError, RuntimeError):  # uvloop's, of a closed transport
            pass
        if silent.is_set():
            return
        gone.set()
        for one in both:
            one.close()

    async def stop(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def proxying(port: int) -> AsyncIterator[Proxy]:
    """A proxy in front of a port, until the block is left."""
    proxy = Proxy(port)
    server = await asyncio.start_server(proxy.meet, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()


def _break(writer: asyncio.StreamWriter, how: str) -> None:
    sock = writer.get_extra_info("socket")
    if how == "reset" and sock is not None and not writer.transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
