"""Shout: a pipeline of operators, and its end is the end of the socket.

    python examples/shout.py
    python -m websockets ws://localhost:8080/shout

A greeting comes first; what you say comes back in capitals; a repetition is ignored. Say "bye", and
`take_while` completes the pipeline: the socket closes with 1000, after everything before it has been sent.
"""

import os

from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops

import rxws

routes = web.RouteTableDef()


def goes_on(message: str) -> bool:
    return message != "bye"


@routes.get("/shout")
@rxws.websocket
def shout(incoming: Observable[str | bytes]) -> Observable[str]:
    return incoming.pipe(
        ops.filter(lambda message: isinstance(message, str)),  # binary messages are not for shouting
        ops.map(str),  # which they are; type checkers do not learn that from `filter`
        ops.take_while(goes_on),
        ops.distinct_until_changed(str.strip),
        ops.map(str.upper),
        ops.start_with("Say something!"),
    )


def make_app() -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    rxws.setup(app)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
