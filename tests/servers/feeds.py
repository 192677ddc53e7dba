"""Feeds in Python, by libraries other than ours: `python -m tests.servers.feeds LIBRARY PORT JOURNAL`.

A client first says since which number it wants the feed, then gets each number after it, one a message. What it says
after that goes into the journal, one line a message. A SIGTERM is obeyed as the library's own documentation shows.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

INTERVAL = 0.002


async def count(since: int, send: Callable[[str], Any]) -> None:
    while True:
        since += 1
        sent = send(json.dumps({"number": since}))
        if isinstance(sent, Awaitable):
            await sent
        await asyncio.sleep(INTERVAL)


async def websockets(port: int, note: Callable[[str | bytes], object], over: asyncio.Event) -> None:
    from websockets.asyncio.server import ServerConnection, serve

    async def handle(ws: ServerConnection) -> None:
        first = json.loads(await ws.recv())
        feed = asyncio.create_task(count(first["since"], ws.send))
        try:
            async for message in ws:
                note(message)
        finally:
            feed.cancel()

    async with serve(handle, "127.0.0.1", port):
        await over.wait()


async def tornado(port: int, note: Callable[[str | bytes], object], over: asyncio.Event) -> None:
    from tornado.httpserver import HTTPServer
    from tornado.web import Application
    from tornado.websocket import WebSocketHandler

    handlers = set[WebSocketHandler]()

    class Feed(WebSocketHandler):
        feed: asyncio.Task[None] | None = None

        def open(self, *_: Any) -> None:
            handlers.add(self)

        def on_message(self, message: str | bytes) -> None:
            if self.feed is None:
                self.feed = asyncio.create_task(count(json.loads(message)["since"], self.write_message))
            else:
                note(message)

        def on_close(self) -> None:
            handlers.discard(self)
            if self.feed is not None:
                self.feed.cancel()

    server = HTTPServer(Application([("/", Feed)]))
    server.listen(port, "127.0.0.1")
    await over.wait()
    server.stop()
    for handler in handlers:
        handler.close()
    while handlers:
        await asyncio.sleep(0.01)


async def main(library: str, port: str, journal: str) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    with Path(journal).open("a") as lines:

        def note(message: str | bytes) -> None:
            print(message, file=lines, flush=True)

        await {"websockets": websockets, "tornado": tornado}[library](int(port), note, over)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
