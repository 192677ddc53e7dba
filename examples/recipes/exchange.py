"""An exchange's feed: an order book of a snapshot and numbered changes, which begins anew when one is missing.

    python examples/recipes/exchange.py          # with an exchange of its own, that loses a change and cuts connections

The exchange pings in its own words, expects an answer, and closes each connection after a while. The book's pipeline
never notices: `multiplex` subscribes again on every connection, and a gap in the numbers subscribes again, too.
"""

import asyncio
import itertools
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from reactivex import Observable
from reactivex import operators as ops

import rxws

Message = dict[str, Any]
Book = dict[float, float]
CUT_AFTER = 1.0  # seconds


class Gap(Exception):
    """A change is missing."""


def options() -> dict[str, Any]:
    return {
        "codec": rxws.json,
        "heartbeat": rxws.Heartbeat(
            15,
            ping={"op": "ping"},
            pong=lambda message: message.get("op") == "pong",
            answer=lambda message: {"op": "pong"} if message.get("op") == "ping" else None,
        ),
        "reconnect": rxws.Backoff(initial=0.05, final="refused", stale_after=30, rotate_every=23 * 3600),
    }


def book(socket: rxws.ClientWebSocket[Message, Message], symbol: str) -> Observable[Book]:
    """Emit the order book after each change: prices, and how much is offered at each."""
    messages = socket.multiplex(
        subscribe={"op": "subscribe", "book": symbol},
        unsubscribe={"op": "unsubscribe", "book": symbol},
        matches=lambda message: message.get("book") == symbol,
    )

    def apply(state: tuple[int, Book], message: Message) -> tuple[int, Book]:
        number, levels = state
        if message["kind"] == "snapshot":
            return message["number"], dict(message["levels"])
        if message["number"] != number + 1:
            raise Gap(f"{symbol}: {message['number']} came after {number}")
        return message["number"], {**levels, **dict(message["levels"])}

    def levels_of(state: tuple[int, Book]) -> Book:
        return state[1]

    empty: tuple[int, Book] = (0, {})
    return messages.pipe(ops.scan(apply, empty), ops.retry(), ops.map(levels_of))


# An exchange, to have something to follow

losses = itertools.count(1)


@rxws.websocket(codec=rxws.json)
async def exchange(socket: rxws.WebSocket[Message, Message]) -> None:
    """Send a snapshot and changes of what is subscribed, lose a change now and then, and cut after a while."""
    until = asyncio.get_running_loop().time() + CUT_AFTER
    tasks: dict[str, asyncio.Task[None]] = {}
    try:
        async with asyncio.timeout_at(until):
            async for message in socket:
                match message:
                    case {"op": "subscribe", "book": symbol}:
                        tasks[symbol] = asyncio.create_task(quote(socket, symbol))
                    case {"op": "unsubscribe", "book": symbol}:
                        tasks.pop(symbol).cancel()
                    case {"op": "ping"}:
                        await socket.send({"op": "pong"})
                    case _:
                        pass
    except TimeoutError:
        raise rxws.Close(1012, "Service Restart") from None
    finally:
        for task in tasks.values():
            task.cancel()


async def quote(socket: rxws.WebSocket[Message, Message], symbol: str) -> None:
    await socket.send({"book": symbol, "kind": "snapshot", "number": 100, "levels": [(99.5, 10), (100.5, 7)]})
    for number in itertools.count(101):
        await asyncio.sleep(0.02)
        if next(losses) % 10:
            await socket.send({"book": symbol, "kind": "change", "number": number, "levels": [(99.5, number)]})


async def follow(url: str, seconds: float) -> int:
    """Print the best prices now and then; return how many books came."""
    seen: list[Book] = []
    async with rxws.connect(url, **options()) as socket:
        socket.states.subscribe(lambda state: print(type(state).__name__))
        book(socket, "BTCEUR").subscribe(seen.append)
        await asyncio.sleep(seconds)
    print(f"{len(seen)} books, the last one {seen[-1]}")
    return len(seen)


async def main() -> None:
    app = web.Application()
    app.router.add_get("/", exchange)
    rxws.setup(app)
    async with TestServer(app) as server:
        await follow(str(server.make_url("/")), seconds=3)


if __name__ == "__main__":
    asyncio.run(main())
