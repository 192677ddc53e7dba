#!/bin/sh
# hass-client-lost-is-cancelled: in hass-client, a lost connection cancels each call that waits for an answer.
#
# Expected: `await client.get_states()` raises an error of the library, NotConnected or ConnectionFailed, when the connection
#           ends before the answer. So does `start_listening()`, the loop that reads.
# Seen:     the call raises asyncio.CancelledError, though nobody cancelled its task. `except Exception` does not catch it,
#           and in a TaskGroup the call ends as if it had been left on purpose: the group ends without an error, and
#           without a result. `start_listening()` returns. All of this is the same for a close with 1001, too.
# Matters:  what follows a group of calls runs as if all had been answered. A loop with `except Exception` around the calls
#           ends at the first restart of the server. Catch CancelledError, and ask `asyncio.current_task().cancelling()`:
#           it is 0 if nobody cancelled the task.
# Versions: hass-client 1.4.1, aiohttp 3.14.5; Python 3.11.7
#
# Printed on 2026-12-01:
#   lost:       the call raises CancelledError, cancelling() is 0; the loop returns; a TaskGroup ends without an error
#   close 1001: the call raises CancelledError, cancelling() is 0; the loop returns; a TaskGroup ends without an error
. "$(dirname "$0")/tools.sh"
python_with hass-client==1.4.1 aiohttp==3.14.5

run_python <<'END'
import asyncio
import json

from hass_client import HomeAssistantClient
from wire import TEXT, Server, close, compare, frame, versions

versions("hass-client", "aiohttp")
ENDS = {"lost": b"", "close 1001": close(1001)}


def home_assistant(end):
    """Return the script of a server that logs a client in, and ends instead of answering it."""

    async def script(peer):
        await peer.send(frame(TEXT, json.dumps({"type": "auth_required", "ha_version": "2026.11.0"}).encode()))
        await peer.next()
        await peer.send(frame(TEXT, json.dumps({"type": "auth_ok"}).encode()))
        assert "get_states" in await peer.next()
        await peer.send(end)

    return script


async def outcome(end):
    async with Server(home_assistant(end)) as server:
        client = HomeAssistantClient(server.url, "token")
        await client.connect()
        loop = asyncio.create_task(client.start_listening())
        try:
            await client.get_states()
            call = "is answered"
        except BaseException as error:
            call = f"raises {type(error).__name__}, cancelling() is {asyncio.current_task().cancelling()}"
        await asyncio.wait([loop])
        listening = f"raises {type(loop.exception()).__name__}" if loop.exception() else "returns"
        await client.connect()
        loop = asyncio.create_task(client.start_listening())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(client.get_states())
            grouped = "ends without an error"
        except BaseExceptionGroup as error:
            grouped = f"raises {error!r}"
        await client.disconnect()
    return f"the call {call}; the loop {listening}; a TaskGroup {grouped}"


seen = {}
for name, end in ENDS.items():
    seen[name] = asyncio.run(outcome(end))
    print(f"{name + ':':11} {seen[name]}")
same = "the call raises CancelledError, cancelling() is 0; the loop returns; a TaskGroup ends without an error"
compare(seen, dict.fromkeys(ENDS, same))
END
