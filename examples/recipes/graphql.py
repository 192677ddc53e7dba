"""GraphQL subscriptions over graphql-transport-ws, as graphql-ws, Apollo Server and Hasura speak it.

    python examples/recipes/graphql.py ws://localhost:4000/graphql TOKEN

Subscribes to `said`, says a line with a mutation, and prints it when the subscription brings it.
"""

import asyncio
import itertools
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from reactivex import Observable
from reactivex import operators as ops

import rxws

Message = dict[str, Any]
Socket = rxws.ClientWebSocket[Message, Message]
Variables = Mapping[str, Any] | Callable[[], Mapping[str, Any]]
NOTHING: Mapping[str, Any] = {}
numbers = itertools.count(1)


class GraphQLError(Exception):
    """The errors of an operation."""


HEARTBEAT = rxws.Heartbeat(
    20,
    ping={"type": "ping"},
    pong=lambda message: message["type"] == "pong",
    answer=lambda message: {"type": "pong"} if message["type"] == "ping" else None,
)
BACKOFF = rxws.Backoff()


def connect(
    url: str,
    token: str,
    *,
    heartbeat: rxws.Heartbeat = HEARTBEAT,
    reconnect: rxws.Backoff = BACKOFF,
    close_timeout: float = 5.0,
) -> AbstractAsyncContextManager[Socket]:
    """Connect as `rxws.connect`, with a login on every connection, and the protocol's own pings."""

    async def login(connection: rxws.Greeting[Message, Message]) -> None:
        await connection.send({"type": "connection_init", "payload": {"token": token}})
        await connection.receive(lambda message: message["type"] == "connection_ack")

    return rxws.connect(
        url,
        protocols=["graphql-transport-ws"],
        codec=rxws.json,
        greet=login,
        heartbeat=heartbeat,
        reconnect=reconnect,
        close_timeout=close_timeout,
    )


def operation(id: str, query: str, variables: Variables) -> Message:
    values = variables() if callable(variables) else variables
    return {"id": id, "type": "subscribe", "payload": {"query": query, "variables": dict(values)}}


def subscription(socket: Socket, query: str, variables: Variables = NOTHING) -> Observable[Any]:
    """Emit the data of a subscription. Every new connection subscribes again, with what `variables()` returns then.

    Completes with the server's "complete", fails with a `GraphQLError`. Disposing ends it on the server, too.
    """
    id = f"subscription-{next(numbers)}"
    messages = socket.multiplex(
        subscribe=lambda: operation(id, query, variables),
        unsubscribe={"id": id, "type": "complete"},
        matches=lambda message: message.get("id") == id,
    )
    return messages.pipe(ops.take_while(goes_on), ops.map(data))


def goes_on(message: Message) -> bool:
    return bool(message["type"] != "complete")


async def execute(socket: Socket, query: str, variables: Variables = NOTHING) -> Any:
    """Run a query or a mutation, once: it is not sent again if the connection is lost before the answer."""
    id = f"operation-{next(numbers)}"
    answer = socket.request(
        operation(id, query, variables),
        matches=lambda message: message.get("id") == id and message["type"] in ("next", "error"),
    )
    return data(await answer)


def data(message: Message) -> Any:
    errors = message["payload"] if message["type"] == "error" else message["payload"].get("errors")
    if errors:
        raise GraphQLError(errors)
    return message["payload"]["data"]


def line(data: dict[str, str]) -> str:
    return data["said"]


async def main(url: str, token: str) -> None:
    async with connect(url, token) as socket:
        said = "subscription ($after: Int!) { said(after: $after) }"
        read: list[str] = []
        heard = asyncio.Event()
        lines = subscription(socket, said, lambda: {"after": len(read)}).pipe(ops.map(line))
        lines.pipe(ops.do_action(read.append)).subscribe(lambda _: heard.set())
        print("says", await execute(socket, "mutation ($line: String!) { say(line: $line) }", {"line": "hello"}))
        await heard.wait()
        print("reads", read[-1])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
