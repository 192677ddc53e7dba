"""A chat of one's own, with every stream typed."""

from __future__ import annotations

from typing import assert_type

import msgspec
import reactivex
from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops
from reactivex.subject import Subject

import rxws


class Said(msgspec.Struct):
    text: str
    name: str = "someone"


rooms: rxws.Rooms[Said] = rxws.Rooms()


@rxws.websocket(codec=rxws.codecs.msgspec(Said))
def chat(request: web.Request, incoming: Observable[Said], errors: Subject[Exception]) -> Observable[Said]:
    room = rooms[request.match_info["room"]]
    name = request.query.get("name", "someone")

    def signed(said: Said) -> Said:
        return Said(said.text, name)

    errors.subscribe(print)
    incoming.pipe(
        ops.map(signed),
        ops.start_with(Said("joined", name)),
        ops.concat(reactivex.of(Said("left", name))),
    ).subscribe(room)
    return room


@rxws.websocket(codec=rxws.codecs.msgspec(Said))
async def hall(socket: rxws.WebSocket[Said, Said]) -> None:
    incoming, outgoing, errors = socket
    assert_type(incoming, Observable[Said])
    assert_type(outgoing, Subject[Said | rxws.Close])
    assert_type(errors, Subject[Exception])
    with rooms["hall"].subscribe(outgoing):
        async for said in socket:
            rooms["hall"].on_next(said)


async def guest(request: web.Request) -> web.StreamResponse:
    async with rxws.accept(request, codec=rxws.codecs.msgspec(Said)) as socket:
        incoming, outgoing, errors = socket
        assert_type(outgoing, Subject[Said | rxws.Close])
        errors.subscribe(print)
        incoming.subscribe(rooms["hall"])
        rooms["hall"].subscribe(outgoing)
        await socket.closed
    return socket.response


async def client() -> None:
    async with rxws.connect("ws://localhost/rooms/tea", codec=rxws.codecs.msgspec(Said)) as socket:
        incoming, outgoing, errors = socket
        assert_type(incoming, Observable[Said])
        errors.subscribe(print)
        outgoing.on_next(Said("hello"))
        print((await socket.receive()).text, await incoming.pipe(ops.first()))


def make_app() -> web.Application:
    app = web.Application()
    app.router.add_get("/rooms/{room}", chat)
    app.router.add_get("/hall", hall)
    app.router.add_get("/guest", guest)
    rxws.setup(app)
    return app
