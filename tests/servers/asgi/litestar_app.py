"""Handlers in Litestar."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, WebSocket, websocket
from litestar.di import Provide
from litestar.exceptions import NotAuthorizedException, TooManyRequestsException
from reactivex import operators as ops

import rxws
import rxws.asgi


async def user(token: str = "") -> str:
    if not token:
        raise NotAuthorizedException("who are you?")
    return token


@websocket("/rooms/{room:int}", dependencies={"user": Provide(user)})
@rxws.asgi.websocket(codec=rxws.json)
def chat(room: int, user: str, incoming: Any, socket: Any, request: Any) -> Any:
    greeting = [room, user, request.url.path, socket.remote]
    return incoming.pipe(ops.take(1), ops.map(lambda message: [message, greeting]))


@websocket("/forbidden")
@rxws.asgi.websocket
def forbidden() -> None:
    raise TooManyRequestsException("slow down")


@websocket("/block")
async def block(socket: WebSocket) -> None:
    async with rxws.asgi.accept(socket) as mine:
        async for message in mine:
            await mine.send(message)


@asynccontextmanager
async def own(_: Litestar) -> AsyncIterator[None]:
    yield
    print(f"own lifespan: closed, {len(hub)} sockets", flush=True)


app = Litestar([chat, forbidden, block], lifespan=[own])
hub = rxws.asgi.setup(app, max_connections=1)
