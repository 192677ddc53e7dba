#!/bin/sh
# asgi-lost-connection: uvicorn and granian report a lost connection as 1005, a close frame without a code.
#
# Expected: a connection that ends without a close frame is 1006 (RFC 6455, section 7.1.5), and 1005 is kept for a
#           close frame that has no code, as browsers and Node send it from `close()`.
# Seen:     uvicorn with its default, `websockets-sansio`, and granian give 1005 for both. The older
#           `uvicorn --ws websockets`, and daphne, give 1006 for the lost one.
# Matters:  code that counts lost connections, or keeps the session of a user whose train went into a tunnel, sees
#           goodbyes only; an upgrade of uvicorn changes it without a word.
# Versions: uvicorn 0.54.0 with websockets 17.4, granian 2.8.7, daphne 4.2.3; Python 3.11.7
#
# Printed on 2026-11-29:
#   uvicorn                  lost: 1005   close() of a browser: 1005
#   uvicorn --ws websockets  lost: 1006   close() of a browser: 1005
#   granian                  lost: 1005   close() of a browser: 1005
#   daphne                   lost: 1006   close() of a browser: None
. "$(dirname "$0")/tools.sh"
python_with uvicorn==0.54.0 websockets==17.4 granian==2.8.7 daphne==4.2.3 autobahn==26.10.2

cat > app.py <<'END'
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        code = (await receive())["code"]
        print("told", code if code is None else int(code), flush=True)
END

run_python <<'END'
import asyncio

from wire import close, compare, connect, free_port, running, versions

versions("uvicorn", "websockets", "granian", "daphne", "autobahn")
SERVERS = {
    "uvicorn": ("uvicorn", "app:app", "--log-level", "critical", "--port"),
    "uvicorn --ws websockets": ("uvicorn", "app:app", "--log-level", "critical", "--ws", "websockets", "--port"),
    "granian": ("granian", "--interface", "asgi", "app:app", "--port"),
    "daphne": ("daphne", "app:app", "--port"),
}


async def leave(port, *frames):
    status, peer = await connect(port)
    assert " 101 " in status, status
    await peer.send(*frames)
    peer.writer.write_eof()
    await peer.rest()


def told(server):
    for line in server.stdout:
        if line.startswith("told "):
            return line.split()[1]


seen = {}
for name, command in SERVERS.items():
    port = free_port()
    with running(*command, str(port), port=port) as server:
        asyncio.run(leave(port))
        lost = told(server)
        asyncio.run(leave(port, close(masked=True)))
        seen[name] = (lost, told(server))
    print(f"{name:24} lost: {seen[name][0]}   close() of a browser: {seen[name][1]}")
compare(
    seen,
    {
        "uvicorn": ("1005", "1005"),
        "uvicorn --ws websockets": ("1006", "1005"),
        "granian": ("1005", "1005"),
        "daphne": ("1006", "None"),
    },
)
END
