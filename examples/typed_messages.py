"""Typed messages: a tagged union of structs comes in, structs go out, `scan` keeps the state between them.

    pip install msgspec
    python examples/typed_messages.py
    python -m websockets ws://localhost:8080/turtle
    > {"type": "Turn", "degrees": 90}
    > {"type": "Go", "steps": 10}
    > {"type": "Go", "steps": "ten"}

The codec validates: what comes out of `incoming` fits the types, what does not is a `DecodeError` on
`errors`.
"""

import math
import os

import msgspec
from aiohttp import web
from reactivex import Observable
from reactivex import operators as ops

import rxws


class Go(msgspec.Struct, tag=True):
    steps: float


class Turn(msgspec.Struct, tag=True):
    degrees: float


class Home(msgspec.Struct, tag=True):
    pass


class Turtle(msgspec.Struct, tag=True, frozen=True):
    x: float = 0.0
    y: float = 0.0
    heading: float = 0.0


class Problem(msgspec.Struct, tag=True):
    message: str


Command = Go | Turn | Home
routes = web.RouteTableDef()


def obey(turtle: Turtle, command: Command) -> Turtle:
    match command:
        case Go(steps):
            angle = math.radians(turtle.heading)
            x, y = turtle.x + steps * math.cos(angle), turtle.y + steps * math.sin(angle)
            return Turtle(round(x, 6), round(y, 6), turtle.heading)
        case Turn(degrees):
            return Turtle(turtle.x, turtle.y, (turtle.heading + degrees) % 360)
        case Home():
            return Turtle()


def problem(error: Exception) -> Problem:
    return Problem(str(error.__cause__ or error))


@routes.get("/turtle")
@rxws.websocket(codec=rxws.codecs.msgspec(Command))
def turtle(incoming: Observable[Command], errors: Observable[Exception]) -> Observable[Turtle | Problem]:
    problems = errors.pipe(ops.map(problem))
    return incoming.pipe(ops.scan(obey, Turtle()), ops.start_with(Turtle()), ops.merge(problems))


def make_app() -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    rxws.setup(app)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
