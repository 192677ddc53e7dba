"""The error stream: because the handler observes `errors`, what a socket can survive does not close it.

    python examples/error_stream.py
    python -m websockets ws://localhost:8080/roots      # type 9, -9, 13, "nine", and nine without quotes

Three kinds of errors meet in one stream: rxws's own (a message that does not decode), what a subscriber
raises, and what the handler pushes itself. Here they are answered to the client and logged. They would
close the socket with 1007 or 1011 if nobody subscribed to `errors`.
"""

import logging
import math
import os
from typing import Any

from aiohttp import web
from reactivex import Observable, Subject
from reactivex import operators as ops

import rxws

logger = logging.getLogger("roots")
routes = web.RouteTableDef()


def audit(message: Any) -> None:
    if message == 13:
        raise LookupError("the auditor does not like 13")


def has_root(message: Any) -> bool:
    return isinstance(message, (int, float)) and 0 <= message <= 1e308


def root(number: float) -> dict[str, Any]:
    return {"root": math.sqrt(number)}


@routes.get("/roots")
@rxws.websocket(codec=rxws.json)
def roots(incoming: Observable[Any], errors: Subject[Exception]) -> Observable[dict[str, Any]]:
    numbers, others = incoming.pipe(ops.partition(has_root))

    errors.subscribe(lambda error: logger.warning("%r", error))
    incoming.subscribe(audit)  # may raise, which unsubscribes it; the pipelines below go on
    others.pipe(ops.map(lambda message: ValueError(f"{message!r} has no root"))).subscribe(errors)

    complaints = errors.pipe(ops.map(lambda error: {"error": type(error).__name__, "message": str(error)}))
    return numbers.pipe(ops.map(root), ops.merge(complaints))


def make_app() -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    rxws.setup(app)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
