#!/bin/sh
# daphne-empty-messages: daphne sends no message at all for an empty one, and answers every close code with 1000.
#
# Expected: `websocket.send` with an empty text or empty bytes puts an empty message on the wire; RFC 6455 allows it,
#           and hypercorn, granian and uvicorn do. The answer to a close frame normally echoes its code (section 5.5.1).
# Seen:     both empty messages vanish without an error; of three sent, one arrives. A client that closes with 4001
#           is answered with 1000.
# Matters:  an empty message is often a heartbeat or the end of a stream, and a client that waits for it waits.
# Versions: daphne 4.2.3, autobahn 26.10.2, Twisted 26.10.0; Python 3.11.7
#
# Printed on 2026-11-29:
#   sent: '', b'', 'x'; the client gets: text b'x'
#   the client closes with 4001, the answer is: close 1000
. "$(dirname "$0")/tools.sh"
python_with daphne==4.2.3 autobahn==26.10.2 Twisted==26.10.0

cat > app.py <<'END'
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": ""})
        await send({"type": "websocket.send", "bytes": b""})
        await send({"type": "websocket.send", "text": "x"})
        await receive()
END

run_python <<'END'
import asyncio

from wire import close, compare, connect, free_port, running, versions

versions("daphne", "autobahn", "Twisted")


async def visit(port):
    status, peer = await connect(port)
    assert " 101 " in status, status
    messages = [await peer.next()]
    while messages[-1] != "text b'x'":
        messages.append(await peer.next())
    await peer.send(close(4001, "bye", masked=True))
    return messages, await peer.next()


port = free_port()
with running("daphne", "app:app", "--port", str(port), port=port):
    messages, answer = asyncio.run(visit(port))
print("sent: '', b'', 'x'; the client gets:", *messages)
print("the client closes with 4001, the answer is:", answer)
compare((messages, answer), (["text b'x'"], "close 1000"))
END
