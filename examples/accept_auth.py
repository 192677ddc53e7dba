"""Authentication before the upgrade: a stranger gets 401 and never a socket.

    python examples/accept_auth.py
    curl -i localhost:8080/account                  # 401
    python examples/accept_auth.py ada-token        # a client: the socket, and what ada is told

`rxws.accept` opens the socket in an aiohttp handler of your own, after whatever has to come first. Leaving
the block closes it with 1000.
"""

import asyncio
import os
import sys

import aiohttp
from aiohttp import web
from reactivex import operators as ops

import rxws

PORT = int(os.environ.get("PORT", "8080"))
TOKENS = {"ada-token": "Ada", "alan-token": "Alan"}  # in earnest: a session store, a JWT, a database
routes = web.RouteTableDef()


async def authenticate(request: web.Request) -> str:
    """Return the user; raise 401 for a stranger."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    await asyncio.sleep(0)  # a real one asks a database
    if scheme != "Bearer" or token not in TOKENS:
        raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"}, text="Who are you?\n")
    return TOKENS[token]


@routes.get("/account")
async def account(request: web.Request) -> web.StreamResponse:
    user = await authenticate(request)
    async with rxws.accept(request) as socket:
        socket.outgoing.on_next(f"Hello {user}")
        socket.incoming.pipe(ops.map(lambda message: f"{user} said {message!r}")).subscribe(socket.outgoing)
        await socket.closed
    return socket.response


async def client(token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    url = f"ws://localhost:{PORT}/account"
    async with aiohttp.ClientSession(headers=headers) as session, session.ws_connect(url) as ws:
        print(await ws.receive_str())
        await ws.send_str("it works")
        print(await ws.receive_str())


def make_app() -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    rxws.setup(app)
    return app


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(client(sys.argv[1]))
    else:
        web.run_app(make_app(), host="127.0.0.1", port=PORT)
