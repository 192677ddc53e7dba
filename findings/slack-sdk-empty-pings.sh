#!/bin/sh
# slack-sdk-empty-pings: slack_sdk's own client never answers an empty ping, and drops a message in fragments.
#
# Expected: each ping is answered with a pong, and a message in fragments (RFC 6455, section 5.4) is one message.
# Seen:     a ping with a payload is answered. An empty one is a frame of two bytes: the client waits for a third one before
#           it looks at them, and throws them away when none comes within 3 seconds. There is no pong, and no line in the
#           log. Of a message in fragments the listeners get nothing at all.
# Matters:  Slack's own servers send pings with a payload in frames that are whole, so it works there. A stand-in for Slack,
#           in tests or behind a firewall, drops such a client with each heartbeat if its pings are empty, as those of
#           most servers. Turn its heartbeat off, or use `slack_sdk.socket_mode.aiohttp`, which does both well.
# Versions: slack_sdk 3.48.0; Python 3.11.7
#
# Printed on 2026-12-01:
#   a ping with "alive": pong b'alive'
#   an empty ping:       no pong
#   the listener got:    1, 3 (of 1, 2 in two fragments, 3)
. "$(dirname "$0")/tools.sh"
python_with slack_sdk==3.48.0

run_python <<'END'
import asyncio
import json
import logging

from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.web import WebClient
from wire import PING, TEXT, Server, compare, frame, versions

versions("slack_sdk")
logging.disable()


def event(number):
    return json.dumps({"type": "events_api", "envelope_id": str(number), "payload": {}}).encode()


async def pong(peer, payload):
    """Return the answer to a ping; the client sends pings of its own meanwhile."""
    await peer.send(frame(PING, payload))
    deadline = asyncio.get_running_loop().time() + 6
    while (left := deadline - asyncio.get_running_loop().time()) > 0:
        line = await peer.next(left)
        if not line.startswith("ping"):
            return "no pong" if line == "silence" else line
    return "no pong"


async def slack(peer):
    answers = [await pong(peer, b"alive"), await pong(peer, b"")]
    await peer.send(frame(TEXT, event(1)))
    await asyncio.sleep(0.3)
    await peer.send(frame(TEXT, event(2)[:9], fin=False), frame(0, event(2)[9:]))
    await asyncio.sleep(0.3)
    await peer.send(frame(TEXT, event(3)))
    await asyncio.sleep(1)
    return answers


async def main():
    async with Server(slack) as server:
        client = SocketModeClient(app_token="xapp-1", web_client=WebClient(token="xoxb-1"))
        client.issue_new_wss_url = lambda: server.url
        got = []
        client.message_listeners.append(lambda _, message, raw: got.append(message.get("envelope_id")))
        await asyncio.to_thread(client.connect)
        full, empty = await server.done.get()
        await asyncio.to_thread(client.close)
    return full, empty, ", ".join(map(str, got))


full, empty, got = asyncio.run(main())
print(f'a ping with "alive": {full}')
print(f"an empty ping:       {empty}")
print(f"the listener got:    {got} (of 1, 2 in two fragments, 3)")
compare([full, empty, got], ["pong b'alive'", "no pong", "1, 3"])
END
