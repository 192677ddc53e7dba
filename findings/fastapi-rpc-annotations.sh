#!/bin/sh
# fastapi-rpc-annotations: fastapi-websocket-rpc sends the result of a method without a return annotation as its str().
#
# Expected: the annotations of a method are for readers and type checkers. A call returns what the method does, as JSON has it.
# Seen:     without `-> int`, 3 arrives as "3"; a dict arrives as Python's text of it, "{'x': 1, 'on': True}", which is not
#           JSON; and None as "None", which is true. With an annotation the same values arrive as they are. No error, no log.
# Matters:  who adds or forgets an annotation changes what is on the wire, and `if result:` holds for None and False. Annotate
#           each method, also with `-> dict` or `-> Optional[int]`.
# Versions: fastapi-websocket-rpc 0.1.29, fastapi 0.165.0, uvicorn 0.54.0, websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-30:
#   a method returns 3: without an annotation '3', with one 3
#   a method returns {'x': 1, 'on': True}: without an annotation "{'x': 1, 'on': True}", with one {'x': 1, 'on': True}
#   a method returns None: without an annotation 'None', with one None
#   a method returns False: without an annotation 'False', with one False
. "$(dirname "$0")/tools.sh"
python_with fastapi-websocket-rpc==0.1.29 fastapi==0.165.0 uvicorn==0.54.0 websockets==17.4

cat > server.py <<'END'
import sys
from typing import Optional

import uvicorn
from fastapi import FastAPI
from fastapi_websocket_rpc import RpcMethodsBase, WebsocketRPCEndpoint


class Methods(RpcMethodsBase):
    async def number(self):
        return 3

    async def number_annotated(self) -> int:
        return 3

    async def mapping(self):
        return {"x": 1, "on": True}

    async def mapping_annotated(self) -> dict:
        return {"x": 1, "on": True}

    async def nothing(self):
        return None

    async def nothing_annotated(self) -> Optional[int]:
        return None

    async def no(self):
        return False

    async def no_annotated(self) -> bool:
        return False


app = FastAPI()
WebsocketRPCEndpoint(Methods()).register_route(app, "/")
uvicorn.run(app, port=int(sys.argv[1]), log_level="critical")
END

run_python <<'END'
import asyncio
import sys

from fastapi_websocket_rpc import RpcMethodsBase, WebSocketRpcClient
from wire import compare, free_port, running, versions

versions("fastapi-websocket-rpc", "fastapi", "uvicorn", "websockets")
RETURNED = {"number": 3, "mapping": {"x": 1, "on": True}, "nothing": None, "no": False}


async def main():
    port, seen = free_port(), []
    with running(sys.executable, "server.py", str(port), port=port):
        async with WebSocketRpcClient(f"ws://127.0.0.1:{port}/", RpcMethodsBase()) as client:
            for name, value in RETURNED.items():
                plain, annotated = [(await client.call(name + end, {})).result for end in ("", "_annotated")]
                print(f"a method returns {value}: without an annotation {plain!r}, with one {annotated!r}")
                seen.append((plain, annotated))
    return seen


compare(asyncio.run(main()), [(str(value), value) for value in RETURNED.values()])
END
