"""rxws: a room that is a topic, or a Subject of one process."""

from __future__ import annotations

import os
from typing import Any

from aiohttp import web
from reactivex import Observable
from reactivex.subject import Subject

import rxws
from benchmarks.peers.common import listen

topics = rxws.topics(os.environ.get("BROKER") or "memory://")
news: Subject[Any] = Subject()


@rxws.websocket(codec=rxws.json)
def room(incoming: Observable[Any]) -> Observable[Any]:
    topic = topics["room.tea"]
    incoming.subscribe(topic)
    return topic


@rxws.websocket(codec=rxws.json)
def subject(incoming: Observable[Any]) -> Observable[Any]:
    incoming.subscribe(news.on_next)
    return news


async def serve() -> int:
    app = web.Application()
    app.router.add_get("/room", room)
    app.router.add_get("/subject", subject)
    rxws.setup(app)
    return await listen(app)
