"""Token renewal: a fresh token for every attempt, and a fresh connection before the old one's token expires.

    python examples/client/token_renewal.py

`headers` (and `url`) may be a function, a coroutine function too: it is called for every attempt. `rotate_every` opens
a successor before the server cuts the connection, switches to it, and closes the old one: no message is missed.
"""

import asyncio
import itertools
import time
from typing import Any

import reactivex
from aiohttp import web
from aiohttp.test_utils import TestServer
from reactivex import Observable
from reactivex import operators as ops

import rxws

LIFETIME = 1.0  # seconds
tokens: dict[str, float] = {}
names = itertools.count(1)


@rxws.websocket
def clock(request: web.Request) -> Observable[str]:
    """The server: refuses a token that is too old, and cuts a connection when its token expires."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    left = tokens.get(token, 0) - time.monotonic()
    if left <= 0:
        raise web.HTTPUnauthorized(text=f"{token} is not valid\n")
    expiry = reactivex.timer(left).pipe(ops.flat_map(lambda _: reactivex.throw(rxws.Close(3000, "Token expired"))))
    return reactivex.interval(0.1).pipe(ops.map(lambda number: f"{token}: {number}"), ops.merge(expiry))


async def fetch_token() -> dict[str, str]:
    """Ask the token server, as it were."""
    await asyncio.sleep(0.01)
    token = f"token-{next(names)}"
    tokens[token] = time.monotonic() + LIFETIME
    return {"Authorization": f"Bearer {token}"}


async def follow(url: str, seconds: float) -> list[Any]:
    seen: list[Any] = []
    backoff = rxws.Backoff(rotate_every=LIFETIME * 0.7)
    async with rxws.connect(url, headers=fetch_token, reconnect=backoff) as socket:
        socket.states.subscribe(seen.append)
        socket.incoming.subscribe(seen.append)
        await asyncio.sleep(seconds)
    return seen


async def main() -> None:
    app = web.Application()
    app.router.add_get("/", clock)
    rxws.setup(app)
    async with TestServer(app) as server:
        for event in await follow(str(server.make_url("/")), seconds=3):
            print(event)


if __name__ == "__main__":
    asyncio.run(main())
