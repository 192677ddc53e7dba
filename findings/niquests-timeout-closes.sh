#!/bin/sh
# niquests-timeout-closes: a timeout around niquests' `next_payload()` closes the WebSocket, with the code 0.
#
# Expected: `asyncio.wait_for(..., timeout)`, or a task that is cancelled, gives up waiting; the socket stays open and
#           the next call receives the next message. That is how one polls, and it holds for every other client tried.
# Seen:     the first timeout closes the connection: the server gets a close frame with the code 0, which RFC 6455
#           forbids, and all further calls raise OSError. The synchronous client with `timeout=` goes on as expected.
# Matters:  a loop that waits for a message "for at most 1 s" loses its socket in the first quiet second, and a strict
#           server logs a protocol error of the client.
# Versions: niquests 3.21.2, urllib3-future 2.25.904, wsproto 1.3.2; Python 3.11.7
#
# Printed on 2026-11-29:
#   the server is quiet, wait_for(next_payload(), 0.5): TimeoutError
#   the server gets: close 0
#   next_payload() again: OSError
. "$(dirname "$0")/tools.sh"
python_with niquests==3.21.2 urllib3-future==2.25.904 wsproto==1.3.2

run_python <<'END'
import asyncio

import niquests
from wire import Server, compare, versions

versions("niquests", "urllib3-future", "wsproto")


async def script(peer):
    return await peer.next(5)


async def outcome(awaitable):
    try:
        return repr(await awaitable)
    except OSError as error:  # TimeoutError is one
        return type(error).__name__


async def main():
    async with Server(script) as server, niquests.AsyncSession() as session:
        response = await session.get(server.url)
        first = await outcome(asyncio.wait_for(response.extension.next_payload(), 0.5))
        second = await outcome(response.extension.next_payload())
        return first, await server.done.get(), second


first, wire, second = asyncio.run(main())
print("the server is quiet, wait_for(next_payload(), 0.5):", first)
print("the server gets:", wire)
print("next_payload() again:", second)
compare((first, wire, second), ("TimeoutError", "close 0", "OSError"))
END
