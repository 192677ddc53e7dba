"""Close codes: 4000-4999 are yours. A `Close` is a value to emit, an exception to raise, a call from outside.

    python examples/close_codes.py
    python -m websockets ws://localhost:8080/guess          # guess a number: emitted and raised in a pipeline
    python -m websockets ws://localhost:8080/countdown      # raised by a handler
    curl -X POST localhost:8080/kick                        # called from outside, for every open socket

What was sent before a `Close` arrives before it.
"""

import asyncio
import os
import random

import reactivex
from aiohttp import web
from reactivex import Observable, Subject
from reactivex import operators as ops

import rxws

TRIES = 3
hub = web.AppKey("hub", rxws.Hub)
routes = web.RouteTableDef()


@routes.get("/guess")
@rxws.websocket
def guess(incoming: Observable[str | bytes]) -> Observable[str | rxws.Close]:
    number = random.randint(1, 9)

    def answer(message: str | bytes) -> str | rxws.Close:
        try:
            tried = int(message)
        except ValueError:
            raise rxws.Close(4001, "That is not a number") from None
        if tried == number:
            return rxws.Close(4000, "You win")
        return "higher" if tried < number else "lower"

    return incoming.pipe(
        ops.take(TRIES),
        ops.map(answer),
        ops.concat(reactivex.just(rxws.Close(4002, f"It was {number}"))),
    )


@routes.get("/countdown")
@rxws.websocket
async def countdown(outgoing: Subject[str]) -> None:
    for number in (3, 2, 1):
        outgoing.on_next(str(number))
        await asyncio.sleep(0.3)
    raise rxws.Close(4003, "Lift-off")


@routes.post("/kick")
async def kick(request: web.Request) -> web.Response:
    sockets = [*request.app[hub]]
    for socket in sockets:
        socket.close(4004, "Kicked")
    return web.json_response({"kicked": len(sockets)})


def make_app() -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    app[hub] = rxws.setup(app)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
