#!/bin/sh
# hypercorn-close-codes: an application on hypercorn is told 1006 however the client closes.
#
# Expected: `websocket.disconnect` carries the code of the client's close frame: 1000, 1001, 4001, or 1005 without one.
# Seen:     the code is 1006 each time, and there is no reason, though hypercorn answers the client with its own code.
#           The application cannot tell a goodbye from a lost connection.
# Matters:  presence, statistics of lost connections, and codes of one's own (4000 to 4999) say nothing on hypercorn.
# Versions: hypercorn 0.18.0, wsproto 1.3.2; Python 3.11.7
#
# Printed on 2026-11-29:
#   the client sends 1000: answered with close 1000, the application sees {'type': 'websocket.disconnect', 'code': 1006}
#   the client sends 1001: answered with close 1001, the application sees {'type': 'websocket.disconnect', 'code': 1006}
#   the client sends 4001: answered with close 4001, the application sees {'type': 'websocket.disconnect', 'code': 1006}
#   the client sends None: answered with close without a code, the application sees {'type': 'websocket.disconnect', 'code': 1006}
. "$(dirname "$0")/tools.sh"
python_with hypercorn==0.18.0 wsproto==1.3.2

cat > app.py <<'END'
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        print(await receive(), flush=True)
END

run_python <<'END'
import asyncio

from wire import close, compare, connect, free_port, running, versions

versions("hypercorn", "wsproto")
port = free_port()
seen = []


async def leave(code):
    status, peer = await connect(port)
    assert " 101 " in status, status
    await peer.send(close(code, masked=True))
    return await peer.next()


with running("hypercorn", "app:app", "--bind", f"127.0.0.1:{port}", port=port) as server:
    for code in (1000, 1001, 4001, None):
        answer = asyncio.run(leave(code))
        told = server.stdout.readline().strip()
        print(f"the client sends {code}: answered with {answer}, the application sees {told}")
        seen.append((answer, told))
told = "{'type': 'websocket.disconnect', 'code': 1006}"
compare(seen, [("close 1000", told), ("close 1001", told), ("close 4001", told), ("close without a code", told)])
END
