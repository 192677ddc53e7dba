#!/bin/sh
# hypercorn-pings: hypercorn pings, but keeps a client that answers none of its pings.
#
# Expected: a server with a ping interval ends a connection whose client does not answer, as uvicorn and daphne do.
# Seen:     with `websocket_ping_interval`, hypercorn sends a ping each second, and does not look for the pongs. A client
#           that answers nothing stays connected, and the application is told nothing.
# Matters:  clients whose network has gone stay in rooms and in counts until TCP gives up, after minutes. Send pings as
#           messages of your own, and close a WebSocket that does not answer them.
# Versions: hypercorn 0.18.0, wsproto 1.3.2; Python 3.11.7
#
# Printed on 2026-11-30:
#   5 pings, none answered; then a message is echoed: text b'are you there?'
. "$(dirname "$0")/tools.sh"
python_with hypercorn==0.18.0 wsproto==1.3.2

cat > app.py <<'END'
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": event["text"]})
END

run_python <<'END'
import asyncio

from wire import compare, connect, frame, free_port, running, versions

versions("hypercorn", "wsproto")
port = free_port()


async def mute():
    status, peer = await connect(port)
    assert " 101 " in status, status
    pings = [await peer.next(3) for _ in range(5)]
    await peer.send(frame(1, b"are you there?", masked=True))
    while (answer := await peer.next(3)).startswith("ping"):
        pass
    return [ping.split()[0] for ping in pings], answer


with running("hypercorn", "app:app", "--bind", f"127.0.0.1:{port}", "--websocket-ping-interval", "1", port=port):
    pings, answer = asyncio.run(mute())
print(f"{pings.count('ping')} pings, none answered; then a message is echoed: {answer}")
compare((pings, answer), (["ping"] * 5, "text b'are you there?'"))
END
