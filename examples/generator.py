"""Async generator: each yielded value is sent, and the next one is asked for when there is room.

    python examples/generator.py
    python -m websockets "ws://localhost:8080/rows?count=3"

A million rows of a database go out with a few kilobytes of memory: a client that reads slowly slows the
generator, one that stops reading stops it, and one that leaves ends it: its `finally` runs, and the
database is closed.
"""

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

from aiohttp import web

import rxws

SQUARES = """
    WITH RECURSIVE row(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM row WHERE n < ?)
    SELECT n, n * n FROM row
"""
routes = web.RouteTableDef()


@routes.get("/rows")
@rxws.websocket(codec=rxws.json)
async def rows(request: web.Request) -> AsyncIterator[dict[str, Any]]:
    count = request.query.get("count", "1000000")
    if not (count.isdecimal() and len(count) < 10):
        raise rxws.Close(4000, "count must be a number below a billion")
    with closing(sqlite3.connect(":memory:")) as database:
        for number, square in database.execute(SQUARES, (int(count),)):
            yield {"number": number, "square": square}


def make_app() -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    rxws.setup(app)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
