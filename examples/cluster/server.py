"""The chat rooms of examples/chat in several processes: a room is a topic, and a page comes back with its position.

    nats-server -js & NATS=nats://127.0.0.1:4222 python examples/cluster/server.py

or `make demo-cluster`, which brings its own NATS. A page shows which process serves it: kill that one with
`kill -9`, and the page comes back to another, says the position of the last message it has, and gets what it missed;
or is told that something may be missing, if more than the topic keeps has been said meanwhile. Who is here is the
room's presence, over all processes.
"""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import reactivex
from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws.topics import Gap, Message, Present

HISTORY = 50
PAGE = Path(__file__).parent.parent / "chat" / "page.html"
Event = dict[str, Any]
routes = web.RouteTableDef()
topics = rxws.topics(os.environ.get("NATS", "nats://127.0.0.1:4222"))  # connects in each process, at its start


@routes.get("/rooms/{room}")
@rxws.websocket(codec=rxws.json, max_msg_size=4096, message_rate=10)
def chat(request: web.Request, incoming: Observable[Any]) -> Observable[Event]:
    nick = request.query.get("nick", "").strip()
    if not 1 <= len(nick) <= 24:
        raise web.HTTPBadRequest(text="A nick name has 1 to 24 characters\n")
    room = topics[f"room.{rxws.topics.token(request.match_info['room'])}"]

    def said(text: str) -> Event:
        return {"type": "said", "nick": nick, "at": time.time(), "text": text.strip()}

    incoming.pipe(
        ops.filter(lambda text: isinstance(text, str) and text.strip() != ""),
        ops.map(said),
    ).subscribe(room)
    since = request.query.get("since")
    try:
        messages = room.messages.history(last=HISTORY) if since is None else room.messages.history(since=since)
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from error
    here = room.presence.joining(nick).pipe(ops.map(present))
    return reactivex.merge(messages.pipe(ops.map(event), ops.start_with({"type": "served", "by": os.getpid()})), here)


def event(item: Message[Event] | Gap) -> Event:
    if isinstance(item, Gap):
        return {"type": "gap"}
    return {**item.value, "position": item.position}


def present(here: Present) -> Event:
    return {"type": "here", "nicks": sorted(here.members, key=str.casefold)}


@routes.get("/")
async def page(request: web.Request) -> web.FileResponse:
    return web.FileResponse(PAGE)


async def connection(app: web.Application) -> AsyncIterator[None]:
    async with topics:
        yield


def make_app() -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    app.cleanup_ctx.append(connection)
    rxws.setup(app)
    return app


if __name__ == "__main__":
    rxws.run(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")), workers=3)
