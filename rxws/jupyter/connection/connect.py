"""`connect` for notebooks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

from rxws import client
from rxws.client.opening import signed_like_connect
from rxws.client.socket import ClientWebSocket
from rxws.errors import ConnectError, close_for
from rxws.jupyter.connection.background import Background
from rxws.jupyter.connection.names import Lease, end_with_name
from rxws.jupyter.connection.socket import NotebookSocket
from rxws.jupyter.errors import show_briefly


@signed_like_connect("NotebookConnect", without="session")
def connect(url: Any, **options: Any) -> NotebookConnect:
    """Connect to a server, on a thread of its own, so that a cell that blocks does not lose the socket.

    As `rxws.connect`, with its options but for `session`: `socket = await rxws.jupyter.connect(url)`, or
    `async with`. The result is a socket like any other. Its streams notify on the notebook's event loop. While a cell
    blocks, the connection answers pings, up to 1,024 messages wait, and then the peer is slowed down. `run()` works in
    a cell, too. The thread ends with the socket, and the interpreter's exit closes it.

    A cell that runs again leaves nothing. A socket that was bound to a name closes with 1000 when its name is bound
    again or deleted. It stays open while the notebook refers to it or to one of its streams in another way, such as by
    another name or in a list. Subscriptions and pictures do not count.

    Errors, and what a subscriber raises, are shown in the notebook, unless `errors` is observed; they do not
    close the socket.

    Args:
        url: As of `rxws.connect`.
        options: As of `rxws.connect`, but for `session`.

    Raises as `rxws.connect` does. Memory: as its socket, and 1,024 messages for each subscription.
    """
    if "session" in options:
        raise TypeError("a session belongs to the loop that it was made on: rxws.jupyter.connect makes its own")
    return NotebookConnect(client.connect(url, **options))


class NotebookConnect:
    """What `connect` returns: await it, or enter it with `async with`."""

    def __init__(self, connect: Any) -> None:
        self._connect = connect
        self._background: Background[ClientWebSocket[Any, Any]] | None = None
        self._opened: ClientWebSocket[Any, Any] | None = None
        self._socket: NotebookSocket[Any, Any] | None = None

    def __await__(self) -> Generator[Any, Any, NotebookSocket[Any, Any]]:
        return self._open().__await__()

    async def __aenter__(self) -> NotebookSocket[Any, Any]:
        self._socket = await self._open()
        return self._socket

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        assert self._socket is not None
        assert self._background is not None
        if isinstance(error, Exception):
            close = close_for(error)
            self._socket.close(close.code, close.reason)
        else:
            self._socket.close()
        await self._background.finished()

    async def _open(self) -> NotebookSocket[Any, Any]:
        if self._background is not None:
            raise RuntimeError("this connect(...) was used before: call connect again for another socket")
        self._background = Background(self._live, "rxws socket", self._settle)
        lease = Lease()
        try:
            socket = NotebookSocket(await self._background.made(), lease)
        except ConnectError as error:
            show_briefly(error)
            raise
        end_with_name(socket, lease, self._background.stop)
        return socket

    async def _live(self, give: Callable[[ClientWebSocket[Any, Any]], None], stop: asyncio.Event) -> None:
        async with self._connect as socket:
            self._opened = socket
            give(socket)
            stopping = asyncio.ensure_future(stop.wait())
            closed = asyncio.ensure_future(socket.closed)
            await asyncio.wait({stopping, closed}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()

    def _settle(self) -> None:
        """Do what other threads have asked for too late for the loop."""
        if self._opened is not None:
            self._opened._life.thread.run_waiting()  # pyright: ignore[reportPrivateUsage]
