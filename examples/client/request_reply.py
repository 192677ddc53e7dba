"""Request and reply: many questions at a time on one socket, each answer to its own.

    python examples/client/request_reply.py

An answer is an Observable of one message: await it, merge it, give it a timeout. A question that was lost with its
connection fails at once, so that the caller may ask again.
"""

import asyncio
import itertools
from typing import Any

import reactivex
from aiohttp import web
from aiohttp.test_utils import TestServer
from reactivex import Observable
from reactivex import operators as ops

import rxws

numbers = itertools.count(1)


@rxws.websocket(codec=rxws.json)
def calculator(incoming: Observable[Any]) -> Observable[Any]:
    """The server: the larger a number, the later its square."""

    def answer(question: dict[str, Any]) -> Observable[Any]:
        reply = {"id": question["id"], "square": question["number"] ** 2}
        return reactivex.timer(question["number"] / 100).pipe(ops.map(lambda _: reply))

    return incoming.pipe(ops.flat_map(answer))


async def square(socket: rxws.ClientWebSocket[Any, Any], number: int) -> int:
    question = {"id": next(numbers), "number": number}
    answer = socket.request(question, matches=lambda message: message["id"] == question["id"], timeout=2)
    squared: int = (await answer)["square"]
    return squared


async def main() -> None:
    app = web.Application()
    app.router.add_get("/", calculator)
    rxws.setup(app)
    async with TestServer(app) as server, rxws.connect(str(server.make_url("/")), codec=rxws.json) as socket:
        print(await asyncio.gather(*(square(socket, number) for number in (5, 1, 3))))
        try:
            await square(socket, 300)
        except TimeoutError as error:
            print(error)


if __name__ == "__main__":
    asyncio.run(main())
