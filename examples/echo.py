"""Echo: what comes in goes out, text as text and bytes as bytes.

    python examples/echo.py
    python -m websockets ws://localhost:8080/echo

`incoming` is an Observable, and what a handler returns is what the client receives. That is all there is to
it: order is kept, a client that reads slowly is read slowly, and a client that leaves is forgotten.
"""

import os

from aiohttp import web
from reactivex import Observable

import rxws

routes = web.RouteTableDef()


@routes.get("/echo")
@rxws.websocket
def echo(incoming: Observable[str | bytes]) -> Observable[str | bytes]:
    return incoming


def make_app() -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    rxws.setup(app)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
