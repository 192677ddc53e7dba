#!/bin/sh
# gql-mutation-again: a reconnecting session of gql sends a mutation again when the connection is lost before its answer.
#
# Expected: nobody knows whether a server has run what it did not answer. A query may be asked again; a mutation, such as an
#           order or a payment, fails with an error, and the program decides.
# Seen:     `connect_async(reconnecting=True)` retries whatever `execute()` is given, mutations too, up to five times. The
#           program gets the last answer, and no sign that there were several attempts.
# Matters:  a server that restarts right after it has done something does it again. Pass `retry_execute=False`, or let each
#           mutation have an id of the client that the server runs once only.
# Versions: gql 4.4.0, websockets 17.4; Python 3.11.7
#
# Printed on 2026-12-01:
#   the program asks once: mutation { pay }
#   the server got it 3 times, and lost the connection twice before it answered
#   the program got: {'pay': 3}
#   with retry_execute=False, the server got it once, and the program got: TransportConnectionFailed
. "$(dirname "$0")/tools.sh"
python_with gql==4.4.0 websockets==17.4

run_python <<'END'
import asyncio
import json
import logging

from gql import Client, gql
from gql.transport.exceptions import TransportError
from gql.transport.websockets import WebsocketsTransport
from wire import TEXT, Server, compare, frame, unmasked, versions

versions("gql", "websockets")
logging.disable()


async def received(peer):
    """Return the next message, of less than 64 KiB."""
    first, size = await peer.reader.readexactly(2)
    size &= 127
    if size == 126:
        size = int.from_bytes(await peer.reader.readexactly(2), "big")
    key = await peer.reader.readexactly(4)
    payload = unmasked(await peer.reader.readexactly(size), key)
    return json.loads(payload) if first & 15 == TEXT else None


def shop(paid):
    """Return the script of a server that pays each time, and whose connection is lost before the first two answers."""

    async def script(peer):
        await received(peer)
        await peer.send(frame(TEXT, b'{"type": "connection_ack"}'))
        message = await received(peer)
        assert message["payload"]["query"].startswith("mutation"), message
        paid.append(message["id"])
        if len(paid) > 2:
            answer = {"type": "next", "id": message["id"], "payload": {"data": {"pay": len(paid)}}}
            await peer.send(frame(TEXT, json.dumps(answer).encode()))
            await peer.send(frame(TEXT, json.dumps({"type": "complete", "id": message["id"]}).encode()))
            await peer.rest()

    return script


async def outcome(**options):
    paid = []
    async with Server(shop(paid), headers="Sec-WebSocket-Protocol: graphql-transport-ws\r\n") as server:
        client = Client(transport=WebsocketsTransport(url=server.url))
        session = await client.connect_async(reconnecting=True, **options)
        try:
            result = str(await session.execute(gql("mutation { pay }")))
        except TransportError as error:
            result = type(error).__name__
        await client.close_async()
    return len(paid), result


async def main():
    return await outcome(), await outcome(retry_execute=False)


(times, result), (once, failed) = seen = asyncio.run(main())
print("the program asks once: mutation { pay }")
print(f"the server got it {times} times, and lost the connection twice before it answered")
print(f"the program got: {result}")
print(f"with retry_execute=False, the server got it {'once' if once == 1 else once}, and the program got: {failed}")
compare(seen, ((3, "{'pay': 3}"), (1, "TransportConnectionFailed")))
END
