"""Chat rooms: a member is a pipeline into a room of `rxws.Rooms`, who is here a `scan` of it.

    python examples/chat/server.py          # then open http://localhost:8080 twice
    python examples/chat/server.py --asgi   # the same on uvicorn: pip install "rxws[asgi]"

A member's pipeline begins with "joined", goes on with what is said, and ends with "left", however the
socket ends: a closed page, a lost connection, one that reads too slowly. A newcomer first gets the last
events, which a ReplaySubject keeps. When the last one leaves, they end, and so does the room.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import reactivex
from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import BehaviorSubject, ReplaySubject

import rxws
import rxws.asgi

HISTORY = 50
LONGEST = 4096  # bytes of what is said
RATE = 10  # messages of a member in a second
PAGE = Path(__file__).with_name("page.html")
Event = dict[str, Any]
routes = web.RouteTableDef()
rooms: rxws.Rooms[Event] = rxws.Rooms()


class Chat:
    """What happens in a room, its last events for newcomers, and who is here."""

    def __init__(self, name: str) -> None:
        self.room = rooms[name]
        self.events: ReplaySubject[Event] = ReplaySubject(buffer_size=HISTORY)
        self.here: BehaviorSubject[frozenset[str]] = BehaviorSubject(frozenset())
        self.events.pipe(ops.scan(present, self.here.value)).subscribe(self.here)
        deserted = self.here.pipe(ops.skip(1), ops.filter(lambda here: not here))

        def end() -> None:
            del chats[name]

        self.room.pipe(ops.take_until(deserted), ops.finally_action(end)).subscribe(self.events)


def present(here: frozenset[str], event: Event) -> frozenset[str]:
    match event:
        case {"type": "joined", "nick": nick}:
            return here | {nick}
        case {"type": "left", "nick": nick}:
            return here - {nick}
        case _:
            return here


chats: dict[str, Chat] = {}


def join(request: web.Request, incoming: Observable[Any]) -> Observable[Event]:
    nick = request.query.get("nick", "").strip()
    if not 1 <= len(nick) <= 24:
        raise web.HTTPBadRequest(text="A nick name has 1 to 24 characters\n")
    name = request.match_info["room"]
    chat = chats.get(name) or chats.setdefault(name, Chat(name))
    if nick in chat.here.value:
        raise rxws.Close(4009, f"{nick} is here already")

    def event(kind: str, **more: str) -> Event:
        return {"type": kind, "nick": nick, "at": time.time(), **more}

    def said(text: str) -> Event:
        return event("said", text=text.strip())

    incoming.pipe(
        ops.filter(lambda text: isinstance(text, str) and text.strip() != ""),
        ops.map(said),
        ops.start_with(event("joined")),
        ops.finally_action(lambda: chat.room.on_next(event("left"))),
    ).subscribe(chat.room)

    return reactivex.merge(chat.events, chat.here.pipe(ops.distinct_until_changed(), ops.map(members)))


def members(nicks: frozenset[str]) -> Event:
    return {"type": "here", "nicks": sorted(nicks, key=str.casefold)}


@routes.get("/")
async def page(request: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGE)


def make_app() -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    on_aiohttp = rxws.websocket(codec=rxws.json, max_msg_size=LONGEST, message_rate=RATE)(join)
    app.router.add_get("/rooms/{room}", on_aiohttp)
    rxws.setup(app)
    return app


def make_asgi_app() -> Any:
    """The same handler on ASGI; a framework would find the route."""
    on_asgi = rxws.asgi.websocket(codec=rxws.json, max_msg_size=LONGEST, message_rate=RATE)(join)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            scope["path_params"] = {"room": scope.get("path", "").removeprefix("/rooms/")}
            await on_asgi(scope, receive, send)
        else:
            head = {"status": 200, "headers": [(b"content-type", b"text/html; charset=utf-8")]}
            await send({"type": "http.response.start", **head})
            await send({"type": "http.response.body", "body": PAGE.read_bytes()})

    return rxws.asgi.lifespan().around(app)


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8080"))
    if "--asgi" in sys.argv:
        import uvicorn

        uvicorn.run(make_asgi_app(), port=port)
    else:
        web.run_app(make_app(), host="127.0.0.1", port=port)
