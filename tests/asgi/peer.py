"""The server's side of one ASGI connection, played by a test: what it gives the application, and what it gets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import rxws.asgi

EXTENSIONS: dict[str, Any] = {"websocket.http.response": {}}


class Peer:
    """A connection: events go in by `put`, `sent` has what came out; while `stalled` is set, `send` waits."""

    def __init__(self, **scope: Any) -> None:
        self.scope: dict[str, Any] = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "path": "/",
            "headers": [(b"host", b"localhost")],
            "client": ("192.0.2.1", 5000),
            "subprotocols": [],
            "extensions": EXTENSIONS,
            **scope,
        }
        self.sent: list[dict[str, Any]] = []
        self.received = 0
        self.stalled = False
        self.takes_a_turn = False
        self.broken: Exception | None = None
        self.task: Any = None
        self.sockets: list[rxws.WebSocket[Any, Any]] = []
        self._events = asyncio.Queue[dict[str, Any]]()
        self._released = asyncio.Event()
        self.put("websocket.connect")

    def put(self, kind: str, **event: Any) -> None:
        self._events.put_nowait({"type": kind, **event})

    def text(self, *messages: str) -> None:
        for message in messages:
            self.put("websocket.receive", text=message)

    def leave(self, code: int | None = 1000, **reason: str) -> None:
        self.put("websocket.disconnect", code=code, **reason)

    def release(self) -> None:
        self.stalled = False
        self._released.set()

    def run(self, app: Callable[..., Awaitable[Any]]) -> Peer:
        """Call the application, as a server does."""
        self.task = asyncio.ensure_future(app(self.scope, self.receive, self.send))
        return self

    def serve(self, compose: Callable[[Any], Any], **options: Any) -> None:
        """Run a handler that is given `incoming`, and note its socket."""

        @rxws.asgi.websocket(**options)
        def handler(socket: rxws.WebSocket[Any, Any]) -> Any:
            self.sockets.append(socket)
            return compose(socket.incoming)

        self.run(handler)

    async def receive(self) -> dict[str, Any]:
        event = await self._events.get()
        self.received += 1
        return event

    async def send(self, event: dict[str, Any]) -> None:
        if self.stalled:
            self._released.clear()
            await self._released.wait()
        if self.broken is not None:
            raise self.broken
        if self.takes_a_turn:
            await asyncio.sleep(0)
        self.sent.append(event)
        if event["type"] == "websocket.close":
            self.leave(event["code"], reason=event["reason"])

    @property
    def texts(self) -> list[str]:
        return [event["text"] for event in self.sent if "text" in event]

    @property
    def kinds(self) -> list[str]:
        return [event["type"].removeprefix("websocket.") for event in self.sent]
