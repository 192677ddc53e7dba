"""JSON-RPC 2.0: calls with answers of their own, errors as exceptions, notifications as an Observable; both ends.

    python examples/recipes/json_rpc.py                       # with a server of its own
    python examples/recipes/json_rpc.py ws://localhost:8080/  # with another one that has "add"

Many calls may wait at a time. A call whose connection is lost fails with `ConnectionLost`, and is not sent twice.
"""

import asyncio
import inspect
import itertools
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from reactivex import Observable
from reactivex import operators as ops

import rxws
from rxws import operators as rxops

Message = dict[str, Any]
Socket = rxws.ClientWebSocket[Any, Any]
ids = itertools.count(1)


class RpcError(Exception):
    """The error that an answer has: its code, its message, and data, if there are any."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(code, message, data)
        self.code, self.message, self.data = code, message, data


# The client


def question(method: str, params: Any) -> Message:
    return {"jsonrpc": "2.0", "id": next(ids), "method": method, "params": params}


def result(answer: Message) -> Any:
    if "error" in answer:
        raise RpcError(answer["error"]["code"], answer["error"]["message"], answer["error"].get("data"))
    return answer["result"]


async def call(socket: Socket, method: str, params: Any = (), timeout: float = 10.0) -> Any:
    """Call a method, and return its result."""
    asked = question(method, params)

    def is_answer(message: Message) -> bool:
        return message.get("id") == asked["id"] and "method" not in message  # the server's calls have ids of their own

    return result(await socket.request(asked, matches=is_answer, timeout=timeout))


def notifications(socket: Socket, method: str) -> Observable[Any]:
    """Emit the parameters of the notifications of a method: messages without an id."""

    def is_one(message: Message) -> bool:
        return message.get("method") == method and "id" not in message

    def params(message: Message) -> Any:
        return message.get("params")

    return socket.incoming.pipe(ops.filter(is_one), ops.map(params))


# The server


async def add(a: float, b: float) -> float:
    return a + b


METHODS: dict[str, Callable[..., Awaitable[Any]]] = {"add": add}


async def answer(asked: Any) -> Message | None:
    """Make the answer to a call; a notification has none."""
    match asked:
        case {"jsonrpc": "2.0", "method": str(name)}:
            reply: Message = {"jsonrpc": "2.0", "id": asked.get("id"), **await outcome(name, asked.get("params", []))}
            return reply if "id" in asked else None
        case _:
            return {"jsonrpc": "2.0", "id": None, **failure(-32600, "Invalid Request")}


async def outcome(name: str, params: Any) -> Message:
    """Call a method with parameters by position, or by name."""
    method = METHODS.get(name)
    if method is None:
        return failure(-32601, "Method not found")
    bind = inspect.signature(method).bind
    try:
        given = bind(**params) if isinstance(params, dict) else bind(*params)
    except TypeError:
        return failure(-32602, "Invalid params")
    try:
        return {"result": await method(*given.args, **given.kwargs)}
    except Exception:
        logging.exception("%s%s failed", name, given.args)
        return failure(-32603, "Internal error")


def failure(code: int, message: str) -> Message:
    return {"error": {"code": code, "message": message}}


@rxws.websocket(codec=rxws.json)
def rpc(incoming: Observable[Any]) -> Observable[Message | None]:
    """Run up to 16 calls at a time, and send each answer when it is ready; further calls wait."""
    answers = rxops.map_async(answer, max_concurrent=16, ordered=False)
    return incoming.pipe(answers, ops.filter(lambda reply: reply is not None))


async def use(url: str) -> None:
    async with rxws.connect(url, codec=rxws.json) as socket:
        print("sums", await asyncio.gather(*(call(socket, "add", [n, n]) for n in range(3))))
        try:
            await call(socket, "subtract", [1, 2])
        except RpcError as error:
            print("refused", error.code, error.message)


async def main() -> None:
    if len(sys.argv) > 1:
        await use(sys.argv[1])
        return
    app = web.Application()
    app.router.add_get("/", rpc)
    rxws.setup(app)
    async with TestServer(app) as server:
        await use(str(server.make_url("/")))


if __name__ == "__main__":
    asyncio.run(main())
