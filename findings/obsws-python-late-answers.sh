#!/bin/sh
# obsws-python-late-answers: after one timeout, obsws-python answers each request with what belongs to the one before it.
#
# Expected: each request has an id, and its answer has the same one (the protocol of obs-websocket 5). So an answer that
#           comes after its request timed out is dropped, and the next request gets its own.
# Seen:     the client takes the next message for the answer, and does not look at its id or its type. After a single
#           timeout it is one behind, for good: GetSceneList returns what GetStats asked for.
# Matters:  one slow answer, and a program reads, or switches, the wrong thing from then on, without an error. After an
#           OBSSDKTimeoutError, throw the client away and make a new one. In your own protocols, match answers by id:
#           `socket.request(key=)` of rxws does.
# Versions: obsws-python 1.8.0, websocket-client 1.9.2; Python 3.11.7
#
# Printed on 2026-12-01:
#   GetVersion:    gets the answer to GetVersion
#   GetStats:      OBSSDKTimeoutError
#   GetSceneList:  gets the answer to GetStats
#   GetInputList:  gets the answer to GetSceneList
. "$(dirname "$0")/tools.sh"
python_with obsws-python==1.8.0 websocket-client==1.9.2

run_python <<'END'
import asyncio
import json
import logging
import time

import obsws_python
from obsws_python.error import OBSSDKTimeoutError
from wire import TEXT, Server, compare, frame, unmasked, versions

versions("obsws-python", "websocket-client")
logging.disable()
REQUESTS = ["GetVersion", "GetStats", "GetSceneList", "GetInputList"]


async def received(peer):
    """Return the next message, of less than 64 KiB."""
    _, size = await peer.reader.readexactly(2)
    size &= 127
    if size == 126:
        size = int.from_bytes(await peer.reader.readexactly(2), "big")
    key = await peer.reader.readexactly(4)
    return json.loads(unmasked(await peer.reader.readexactly(size), key))


async def say(peer, op, data):
    await peer.send(frame(TEXT, json.dumps({"op": op, "d": data}).encode()))


async def obs(peer):
    """Answer each request correctly, GetStats 1.5 seconds late."""
    await say(peer, 0, {"obsWebSocketVersion": "5.6.3", "rpcVersion": 1})
    await received(peer)
    await say(peer, 2, {"negotiatedRpcVersion": 1})
    for _ in REQUESTS:
        request = (await received(peer))["d"]
        name = request["requestType"]
        if name == "GetStats":
            await asyncio.sleep(1.5)
        status = {"result": True, "code": 100}
        answer = {"requestType": name, "requestId": request["requestId"], "requestStatus": status}
        await say(peer, 7, {**answer, "responseData": {"answers": name}})


def asked(port):
    client = obsws_python.ReqClient(host="127.0.0.1", port=port, password="", timeout=1)
    seen = []
    for name in REQUESTS:
        try:
            seen.append("gets the answer to " + client.send(name, raw=True)["answers"])
        except OBSSDKTimeoutError as error:
            seen.append(type(error).__name__)
        print(f"{name + ':':14} {seen[-1]}")
        time.sleep(1 if name == "GetStats" else 0)  # the late answer has arrived when the next request is made
    client.base_client.ws.close()
    return seen


async def main():
    async with Server(obs) as server:
        return await asyncio.to_thread(asked, server.port)


compare(
    asyncio.run(main()),
    [
        "gets the answer to GetVersion",
        "OBSSDKTimeoutError",
        "gets the answer to GetStats",
        "gets the answer to GetSceneList",
    ],
)
END
