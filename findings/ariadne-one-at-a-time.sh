#!/bin/sh
# ariadne-one-at-a-time: ariadne answers no ping of a client, and runs no other query of it, while one of its queries is busy.
#
# Expected: `graphql-transport-ws` gives each operation an id so that many run together on one socket; subscriptions of ariadne
#           do. A `ping` message is answered at once.
# Seen:     queries and mutations of a socket run one after the other, though their resolvers only await. Pings, new
#           subscriptions and the end of old ones wait behind them. strawberry runs them together, and answers at once.
# Matters:  a client that takes a late pong for a lost connection, 20 s for example, leaves in the middle of a longer query, and
#           a dashboard that asks four things waits for their sum. Ask over HTTP what may take long, or allow more time for pongs.
# Versions: ariadne 1.1.1, strawberry-graphql 0.341.2, graphql-core 3.3.2, uvicorn 0.54.0, websockets 17.4; Python 3.11.7
#
# Printed on 2026-12-01:
#   ariadne: a ping is answered after 2 s; four queries of 0.5 s take four times as long as one
#   strawberry: a ping is answered at once; four queries of 0.5 s take as long as one
. "$(dirname "$0")/tools.sh"
python_with ariadne==1.1.1 strawberry-graphql==0.341.2 graphql-core==3.3.2 uvicorn==0.54.0 websockets==17.4

cat > server.py <<'END'
import asyncio
import sys

import strawberry
import uvicorn
from ariadne import QueryType, make_executable_schema
from ariadne.asgi import GraphQL
from ariadne.asgi.handlers import GraphQLTransportWSHandler
from strawberry.asgi import GraphQL as Strawberry

query = QueryType()


@query.field("slow")
async def slow(*_):
    await asyncio.sleep(0.5)
    return "done"


@strawberry.type
class Query:
    @strawberry.field
    async def slow(self) -> str:
        return await slow()


schema = make_executable_schema("type Query { slow: String! }", query)
apps = {
    "ariadne": GraphQL(schema, websocket_handler=GraphQLTransportWSHandler()),
    "strawberry": Strawberry(strawberry.Schema(Query)),
}
uvicorn.run(apps[sys.argv[1]], port=int(sys.argv[2]), log_level="critical")
END

run_python <<'END'
import asyncio
import json
import sys
import time

from websockets.asyncio.client import connect
from wire import compare, free_port, running, versions

versions("ariadne", "strawberry-graphql", "graphql-core", "uvicorn", "websockets")


async def ask(name):
    port = free_port()
    with running(sys.executable, "server.py", name, str(port), port=port):
        async with connect(f"ws://127.0.0.1:{port}/", subprotocols=["graphql-transport-ws"]) as socket:
            await socket.send('{"type": "connection_init"}')
            await socket.recv()
            begun = time.monotonic()
            for number in range(4):
                query = {"id": str(number), "type": "subscribe", "payload": {"query": "{ slow }"}}
                await socket.send(json.dumps(query))
            await socket.send('{"type": "ping"}')
            came, pong = [], 0.0
            while came.count("complete") < 4 or "pong" not in came:
                came.append(json.loads(await socket.recv())["type"])
                took = time.monotonic() - begun
                pong = took if came[-1] == "pong" else pong
    answered = "at once" if pong < 0.4 else "after 2 s" if 2 <= pong < 2.4 else f"after {pong:.1f} s"
    long = "as long" if took < 1 else "four times as long" if took >= 2 else f"{took:.1f} s, as long"
    line = f"{name}: a ping is answered {answered}; four queries of 0.5 s take {long} as one"
    print(line)
    return line


seen = [asyncio.run(ask(name)) for name in ("ariadne", "strawberry")]
compare(
    seen,
    [
        "ariadne: a ping is answered after 2 s; four queries of 0.5 s take four times as long as one",
        "strawberry: a ping is answered at once; four queries of 0.5 s take as long as one",
    ],
)
END
