"""Handlers in Starlette, FastAPI and Litestar, for every server; at `/starlette/`, `/fastapi/` and `/litestar/`."""

from __future__ import annotations

from typing import Annotated, Any

import litestar
from aiohttp import web
from fastapi import APIRouter, Depends, FastAPI, HTTPException, WebSocketException
from litestar.di import Provide
from litestar.exceptions import TooManyRequestsException
from reactivex import Observable
from reactivex import operators as ops
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Mount, WebSocketRoute
from starlette.websockets import WebSocket

import rxws
import rxws.asgi


def greeting(incoming: Observable[str], *words: object) -> Observable[str]:
    return incoming.pipe(ops.map(lambda message: " ".join(map(str, (message, *words)))))


@rxws.asgi.websocket
def raises() -> None:
    raise ValueError("raised on purpose")


async def pass_on(request: Any, following: Any) -> Any:
    return await following(request)


# Starlette


async def deny(websocket: WebSocket) -> None:
    raise HTTPException(429, "slow down")


class Rooms:
    name = "starlette"

    @rxws.asgi.websocket
    def join(self, room: int, incoming: Any, request: web.Request) -> Observable[str]:
        return greeting(incoming, self.name, room, request.match_info["room"], request.query["name"], request.remote)


starlette = Starlette(
    routes=[
        WebSocketRoute("/starlette/deny", deny),
        WebSocketRoute("/starlette/raises", raises),
        Mount("/starlette/rooms", Starlette(routes=[WebSocketRoute("/{room:int}", Rooms().join)])),
    ],
    middleware=[Middleware(BaseHTTPMiddleware, dispatch=pass_on)],
)

# FastAPI


def user(name: str = "") -> str:
    match name:
        case "":
            raise HTTPException(429, "slow down")
        case "banned":
            raise WebSocketException(1008, "go away")
    return name


router = APIRouter(prefix="/rooms")
fastapi = FastAPI()


@router.websocket("/{room}")
@rxws.asgi.websocket
def join(room: int, incoming: Any, request: web.Request, name: Annotated[str, Depends(user)]) -> Observable[str]:
    return greeting(incoming, "fastapi", room, request.match_info["room"], name, request.remote)


fastapi.include_router(router, prefix="/fastapi")
fastapi.add_api_websocket_route("/fastapi/deny", join, dependencies=[Depends(user)])
fastapi.add_api_websocket_route("/fastapi/raises", raises)

# Litestar


async def guest(name: str = "") -> str:
    if not name:
        raise TooManyRequestsException("slow down")
    return name


class Guests(litestar.Controller):
    path = "/litestar"
    dependencies = {"guest": Provide(guest)}

    @litestar.websocket("/rooms/{room:int}")
    @rxws.asgi.websocket
    def join(self, room: int, incoming: Any, request: web.Request, guest: str) -> Observable[str]:
        return greeting(incoming, "litestar", room, request.match_info["room"], guest, request.remote)

    @litestar.websocket("/deny")
    @rxws.asgi.websocket
    def deny(self, guest: str) -> None: ...


guests = litestar.Litestar([Guests, litestar.websocket("/litestar/raises")(raises)], logging_config=None)

of_prefix: dict[str, Any] = {"starlette": starlette, "fastapi": fastapi, "litestar": guests}
