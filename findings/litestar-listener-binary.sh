#!/bin/sh
# litestar-listener-binary: a Litestar listener for bytes gets b"" for each binary message, and the text ones whole.
#
# Expected: `async def handler(data: bytes)` under `@websocket_listener` gets the bytes of a binary message. One that wants
#           text and gets a binary message raises, or closes with 1003.
# Seen:     the listener reads only the text of each message, whatever the type of `data`, until it is told
#           `receive_mode="binary"`. What is in the other kind of frame is lost, and the handler is called with an empty
#           value: b"" or "". With `receive_mode="binary"`, text messages are empty instead.
# Matters:  a client that packs its messages (msgpack, CBOR, protobuf) gets no error, and the server works on nothing. Test
#           with the frames that clients send, or read with `socket.receive()`, which has both.
# Versions: litestar 2.25.0, uvicorn 0.54.0 with websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-30:
#   data: bytes: the binary message is b'', the text message is b'text'
#   data: str: the binary message is '', the text message is 'text'
#   data: bytes, receive_mode="binary": the binary message is b'binary', the text message is b''
. "$(dirname "$0")/tools.sh"
python_with litestar==2.25.0 uvicorn==0.54.0 websockets==17.4

cat > app.py <<'END'
from litestar import Litestar, websocket_listener


@websocket_listener("/bytes")
async def for_bytes(data: bytes) -> str:
    return repr(data)


@websocket_listener("/str")
async def for_str(data: str) -> str:
    return repr(data)


@websocket_listener("/mode", receive_mode="binary")
async def for_binary_frames(data: bytes) -> str:
    return repr(data)


app = Litestar([for_bytes, for_str, for_binary_frames])
END

run_python <<'END'
import asyncio

from websockets.asyncio.client import connect
from wire import compare, free_port, running, versions

versions("litestar", "uvicorn", "websockets")
LISTENERS = {"/bytes": "data: bytes", "/str": "data: str", "/mode": 'data: bytes, receive_mode="binary"'}


async def ask(port, path):
    async with connect(f"ws://127.0.0.1:{port}{path}") as socket:
        await socket.send(b"binary")
        await socket.send("text")
        return await socket.recv(), await socket.recv()


port = free_port()
with running("uvicorn", "app:app", "--port", str(port), port=port):
    seen = {path: asyncio.run(ask(port, path)) for path in LISTENERS}
for path, (binary, text) in seen.items():
    print(f"{LISTENERS[path]}: the binary message is {binary}, the text message is {text}")
compare(seen, {"/bytes": ("b''", "b'text'"), "/str": ("''", "'text'"), "/mode": ("b'binary'", "b''")})
END
