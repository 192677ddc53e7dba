#!/bin/sh
# realtime-gives-up: Supabase's realtime stays away once its server was down for 15 seconds, and tells nobody.
#
# Expected: a client with `auto_reconnect`, its default, comes back when the server does, or tells the program that it will
#           not: the callback of `subscribe()` is called again, or what is sent afterwards fails.
# Seen:     it tries five times, the last time 15 s after the connection ended. The callback heard CHANNEL_ERROR at the
#           beginning, as at each short interruption, and hears nothing more. `send_broadcast()` then succeeds, and keeps the
#           message for a connection that never comes.
# Matters:  a deployment of 20 seconds, and such clients are deaf until their program is started anew. Ask
#           `client.is_connected` from time to time, and call `connect()` yourself, or pass a large `max_retries`.
# Versions: realtime 2.34.1, websockets 15.0.1; Python 3.11.7
#
# Printed on 2026-12-01:
#   attempts after the server had closed with 1012: after 0, 1, 3, 7, 15 s, all of them refused
#   attempts in the 20 s in which it is back:       0
#   the callback heard: SUBSCRIBED, CHANNEL_ERROR
#   send_broadcast() then: succeeds
. "$(dirname "$0")/tools.sh"
python_with realtime==2.34.1 websockets==15.0.1

run_python <<'END'
import asyncio
import json
import logging

from realtime import AsyncRealtimeClient
from wire import TEXT, Server, close, compare, frame, unmasked, versions

versions("realtime", "websockets")
logging.disable()


async def received(peer):
    """Return the next message, of less than 64 KiB."""
    _, size = await peer.reader.readexactly(2)
    size &= 127
    if size == 126:
        size = int.from_bytes(await peer.reader.readexactly(2), "big")
    key = await peer.reader.readexactly(4)
    return json.loads(unmasked(await peer.reader.readexactly(size), key))


async def main():
    away, attempts, heard = asyncio.Event(), [], []
    ended = None

    async def script(peer):
        """Let the client join its channel, and close because the server restarts."""
        nonlocal ended
        message = await received(peer)
        while message["event"] != "phx_join":
            message = await received(peer)
        payload = {"status": "ok", "response": {"postgres_changes": []}}
        reply = {"topic": message["topic"], "event": "phx_reply", "ref": message["ref"], "payload": payload}
        await peer.send(frame(TEXT, json.dumps(reply).encode()))
        await asyncio.sleep(0.5)
        away.set()
        await peer.send(close(1012))
        await peer.next()
        ended = asyncio.get_running_loop().time()

    class Restarting(Server):
        def _accept(self, reader, writer):
            if away.is_set():
                attempts.append(round(asyncio.get_running_loop().time() - ended))
                writer.close()
            else:
                super()._accept(reader, writer)

    async with Restarting(script) as server:
        client = AsyncRealtimeClient(server.url.rstrip("/"), token="key")
        channel = client.channel("room")
        await channel.subscribe(lambda state, error: heard.append(state.name))
        await asyncio.sleep(20)
        away.clear()
        await asyncio.sleep(20)
        try:
            await channel.send_broadcast("news", {"number": 1})
            sent = "succeeds"
        except Exception as error:
            sent = f"raises {type(error).__name__}"
        await client.close()
    return attempts, len(server.requests) - 1, heard, sent


refused, later, heard, sent = seen = asyncio.run(main())
print(f"attempts after the server had closed with 1012: after {', '.join(map(str, refused))} s, all of them refused")
print(f"attempts in the 20 s in which it is back:       {later}")
print(f"the callback heard: {', '.join(heard)}")
print(f"send_broadcast() then: {sent}")
compare(seen, ([0, 1, 3, 7, 15], 0, ["SUBSCRIBED", "CHANNEL_ERROR"], "succeeds"))
END
