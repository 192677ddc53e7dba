#!/bin/sh
# muffin-close-is-a-message: in Muffin, receive() returns a client's close as a message, a dict, and binary ones as text.
#
# Expected: `while socket.connected: message = await socket.receive()`, the loop of its documents, yields what the client
#           sent: a str for text, bytes for binary. When the client closes, the loop ends, or `receive()` raises.
# Seen:     the close is the last message: the ASGI event, a dict, and only then is `connected` false. Given to `send()`, a
#           dict is taken for an ASGI event, too, which the server refuses: a handler that passes on what it gets ends with a
#           RuntimeError. Binary messages are decoded: b"{}" is "{}", and the first one that is not UTF-8 raises
#           UnicodeDecodeError, and closes with 1000.
# Matters:  each client that leaves is one message more for whoever counts, stores or passes on. Ask
#           `isinstance(message, dict)`, or use `receive(raw=True)`, which leaves bytes as they are.
# Versions: muffin 3.0.3 with asgi-tools 3.2.1, uvicorn 0.54.0 with websockets 17.4; Python 3.11.7
#
# Printed on 2026-11-30:
#   text, binary, close 4001
#     the handler: str 'a', str '{}', dict ['code', 'reason', 'type'], RuntimeError
#     the client got: text b'a', text b'{}', close 4001
#   binary that is not UTF-8
#     the handler: UnicodeDecodeError
#     the client got: close 1000
. "$(dirname "$0")/tools.sh"
python_with muffin==3.0.3 asgi-tools==3.2.1 uvicorn==0.54.0 websockets==17.4

cat > server.py <<'END'
import sys

import uvicorn
from muffin import Application, ResponseWebSocket

app = Application()


@app.route("/")
async def handler(request):
    async with ResponseWebSocket(request) as socket:
        try:
            while socket.connected:
                message = await socket.receive()
                kind = type(message).__name__
                print(kind, sorted(message) if kind == "dict" else repr(message), flush=True)
                await socket.send(message)
        except Exception as error:
            print(type(error).__name__, flush=True)
            raise


uvicorn.run(app, port=int(sys.argv[1]), log_level="critical")
END

run_python <<'END'
import asyncio
import sys

from wire import BINARY, TEXT, close, compare, connect, frame, free_port, running, versions

versions("muffin", "asgi-tools", "uvicorn", "websockets")
CLIENTS = {
    "text, binary, close 4001": [frame(TEXT, b"a", masked=True), frame(BINARY, b"{}", masked=True), close(4001, masked=True)],
    "binary that is not UTF-8": [frame(BINARY, b"\xff\x00", masked=True)],
}


async def seen_by(frames):
    """Return what the client got, and what the handler did."""
    port = free_port()
    with running(sys.executable, "server.py", str(port), port=port) as process:
        _, peer = await connect(port)
        for each in frames:
            await peer.send(each)
            await peer.next()
        await peer.send(close(1000, masked=True))
        await asyncio.sleep(2)
    return ", ".join(peer.seen), ", ".join(process.stdout.read().splitlines())


async def main():
    seen = {name: await seen_by(frames) for name, frames in CLIENTS.items()}
    for name, (client, handler) in seen.items():
        print(f"{name}\n  the handler: {handler}\n  the client got: {client}")
    return list(seen.values())


compare(
    asyncio.run(main()),
    [
        ("text b'a', text b'{}', close 4001", "str 'a', str '{}', dict ['code', 'reason', 'type'], RuntimeError"),
        ("close 1000", "UnicodeDecodeError"),
    ],
)
END
