"""Own Subjects: `rxws.attach` connects an aiohttp WebSocket with Subjects that you made.

    python examples/own_subjects.py
    python -m websockets ws://localhost:8080/vote       # in two terminals: type "tea", with the quotes

The tally is one BehaviorSubject, attached as `outgoing` of every client: a newcomer gets the present state
at once, then every change. A client's votes go to a ReplaySubject of its own, attached as `incoming`: who
subscribes late, even after the end, still sees the last ones.
"""

import logging
import os

from aiohttp import web
from reactivex import Subject
from reactivex import operators as ops
from reactivex.subject import BehaviorSubject, ReplaySubject

import rxws

CHOICES = ("coffee", "tea", "water")
logger = logging.getLogger("votes")
routes = web.RouteTableDef()

votes: Subject[str] = Subject()
tally: BehaviorSubject[dict[str, int]] = BehaviorSubject(dict.fromkeys(CHOICES, 0))
votes.pipe(
    ops.scan(lambda counts, choice: {**counts, choice: counts[choice] + 1}, tally.value),
).subscribe(tally)


@routes.get("/vote")
async def vote(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(protocols=("votes",), max_msg_size=1024)  # aiohttp's own options
    await ws.prepare(request)

    ballots: ReplaySubject[str] = ReplaySubject(buffer_size=3)
    ballots.pipe(ops.filter(lambda choice: choice in CHOICES)).subscribe(votes.on_next)

    socket = rxws.attach(ws, incoming=ballots, outgoing=tally, codec=rxws.json)
    close = await socket.closed
    last = await ballots.pipe(ops.to_list())
    logger.info("%s left with %s, and voted last for %s", socket.remote, close.code, last)
    return ws


def make_app() -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    rxws.setup(app)
    return app


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
