"""A server for notebooks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from aiohttp import web
from yarl import URL

from rxws.checks import named
from rxws.jupyter.connection.background import Background
from rxws.jupyter.connection.names import end_with_name

START_TIMEOUT: Final = 10.0
"""Seconds that a server may take to start."""
STOP_TIMEOUT: Final = 10.0
"""Seconds that it may take to end."""


class Server:
    """An application that is served from a thread of its own until it is closed, or the interpreter ends."""

    def __init__(self, app: web.Application, host: str, port: int) -> None:
        self._background = Background(partial(_live, app, host, port), "rxws server")
        self.host, self.port = self._background.made_soon(START_TIMEOUT)
        """Where it listens."""
        end_with_name(self, self, self._background.stop)

    def url(self, path: str = "/") -> str:
        """Give the address of a WebSocket.

        Args:
            path: The path of the handler.
        """
        path = path if path.startswith("/") else f"/{path}"
        return f"{URL.build(scheme='ws', host=self.host, port=self.port)}{path}"

    def close(self) -> None:
        """Shut down: close the sockets, stop listening. Returns when that is done, or after 10 s. Idempotent."""
        self._background.stop()
        self._background.join(STOP_TIMEOUT)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Server {self.url()}>"


async def _live(
    app: web.Application, host: str, port: int, give: Callable[[tuple[str, int]], None], stop: asyncio.Event
) -> None:
    runner = web.AppRunner(app, shutdown_timeout=2)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        give(runner.addresses[0][:2])
        await stop.wait()
    finally:
        await runner.cleanup()


def serve(app: web.Application, *, host: str = "127.0.0.1", port: int = 0) -> Server:
    """Serve an application from a thread of its own, so that a server and its clients fit into one notebook.

    Returns when it listens; `server.url("/feed")` is the address of a handler. `server.close()` shuts it down, as
    leaving a `with` block does; so does binding its name again, or deleting it, unless the notebook still refers to it.

    Args:
        app: The application.
        host: The address to listen on.
        port: The port; 0 for a free one.

    Raises `OSError` if it cannot listen, `TimeoutError` if it does not within 10 s, and `TypeError` for what is not an
    application.

    >>> import rxws
    >>> with serve(web.Application()) as server:
    ...     server.url("/feed").startswith("ws://127.0.0.1:")
    True
    """
    if not isinstance(app, web.Application):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"serve takes an aiohttp.web.Application, not {named(app)}")
    return Server(app, host, port)
