"""An application that asks an ASGI server what it does: without rxws at `/bare/`, with a handler of rxws at `/rxws/`.

At `/starlette/`, `/fastapi/` and `/litestar/` handlers are in a framework.

What they find out is a line of JSON for each key in the file that the environment names.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from aiohttp import web

import rxws
import rxws.asgi
from tests.servers.asgi.frameworks import of_prefix

NOTES = os.environ["ASGI_NOTES"]
MESSAGE = "x" * 65536
LIMIT = 24 * 1024 * 1024
floods = list[asyncio.Task[None]]()


def note(key: str, value: Any) -> None:
    with open(NOTES, "a") as file:
        file.write(json.dumps([key, value]) + "\n")


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Do what the path says, and nothing besides."""
    what = scope["path"].rpartition("/")[2]
    note("scope", sorted(scope.get("extensions") or {}))
    await receive()
    if what == "deny":
        await send({"type": "websocket.http.response.start", "status": 429, "headers": [(b"content-length", b"9")]})
        await send({"type": "websocket.http.response.body", "body": b"slow down"})
        return
    await send({"type": "websocket.accept"})
    match what:
        case "returns":
            return
        case "raises":
            raise ValueError("raised on purpose")
        case "deaf":
            await asyncio.sleep(3600)
        case "flood":
            for number in range(1, LIMIT // len(MESSAGE) + 1):
                await send({"type": "websocket.send", "text": MESSAGE})
                if number % 16 == 0:
                    note("flood", number * len(MESSAGE))
                    await asyncio.sleep(0)
            await asyncio.sleep(3600)
        case "empty":
            await send({"type": "websocket.send", "text": ""})
            await send({"type": "websocket.send", "text": "after"})
    while (event := await receive())["type"] != "websocket.disconnect":
        if what == "echo":
            await send({"type": "websocket.send", "text": str(len(event.get("text") or ""))})
    note(what, [event.get("code"), event.get("reason")])
    if what == "after":
        try:
            await send({"type": "websocket.send", "text": "are you there?"})
            note("sent after", "silent")
        except Exception as error:
            note("sent after", type(error).__name__)


def handler(**options: Any) -> Any:
    def note_end(what: str) -> Any:
        return lambda close: note(f"rxws {what}", [close.code, close.reason])

    @rxws.asgi.websocket(**options)
    def handler(incoming: Any, outgoing: Any, errors: Any, socket: Any, request: Any) -> Any:
        what = request.path.rpartition("/")[2]
        socket.closed.subscribe(note_end(what))
        errors.subscribe(lambda error: note(f"errors {what}", type(error).__name__))
        match what:
            case "deny":
                raise web.HTTPTooManyRequests(text="slow down")
            case "returns":
                outgoing.on_completed()
            case "raises":
                raise ValueError("raised on purpose")
            case "slow":
                floods.append(asyncio.ensure_future(flood(outgoing)))
                return None
        return incoming

    return handler


async def flood(outgoing: Any) -> None:
    """Send more than kernels keep, to a peer that does not read meanwhile."""
    for _ in range(LIMIT // len(MESSAGE) // 3):
        if outgoing.is_stopped:
            break
        outgoing.on_next(MESSAGE)
        await asyncio.sleep(0)
    note("flooded", True)


MUTE = rxws.Heartbeat(0.3, ping="ping", pong=lambda message: False)
with_rxws = handler(close_timeout=1, max_msg_size=1024 * 1024)
of_path = {"/rxws/mute": handler(heartbeat=MUTE), "/rxws/slow": handler(max_buffered=3 * len(MESSAGE))}
life = rxws.asgi.lifespan()


async def ours(scope: Any, receive: Any, send: Any) -> None:
    handle = of_prefix.get(prefix_of(scope)) or of_path.get(scope.get("path"), with_rxws)
    await handle(scope, receive, send)


around = life.around(ours)


def prefix_of(scope: Any) -> str:
    return scope.get("path", "/").split("/")[1]


async def app(scope: Any, receive: Any, send: Any) -> None:
    await (bare if prefix_of(scope) == "bare" else around)(scope, receive, send)
