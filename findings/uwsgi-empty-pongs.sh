#!/bin/sh
# uwsgi-empty-pongs: uWSGI answers each ping with an empty pong, which clients take for no answer.
#
# Expected: a pong with the bytes of the ping (RFC 6455, 5.5.3), as every client needs to tell which ping is answered.
# Seen:     each pong is empty. A client on `websockets`, whose pings are on by default and have four random bytes, closes
#           with 1011 "keepalive ping timeout" after its first ping, while messages go back and forth.
# Matters:  with its defaults, such a client stays for 40 s, whatever it does; and a client that measures the round trip,
#           or learns by pings what has arrived, learns nothing.
# Versions: uWSGI 2.0.31, websockets 17.4; Python 3.11.7; needs a C compiler and the headers of OpenSSL (libssl-dev)
#
# Printed on 2026-12-01:
#   a ping with 'one' is answered with: pong b''
#   a client that pings each second, and talks all the time: 1011 'keepalive ping timeout'
#   a client that sends no pings: 30 messages and 30 answers
. "$(dirname "$0")/tools.sh"
CPUCOUNT=1 python_with uwsgi==2.0.31 websockets==17.4
cat > application.py <<'END_OF_APPLICATION'
import uwsgi


def application(environ, start_response):
    uwsgi.websocket_handshake()
    while True:
        uwsgi.websocket_send(uwsgi.websocket_recv())
END_OF_APPLICATION

run_python <<'END'
import asyncio

from websockets.asyncio.client import connect as dial
from websockets.exceptions import ConnectionClosed
from wire import PING, compare, connect, frame, free_port, running, versions

versions("uWSGI", "websockets")
port = free_port()


async def talk(**options):
    """Send a message each 0.1 s, for three seconds, and read the answers; return what became of that."""
    async with dial(f"ws://127.0.0.1:{port}", **options) as ws:
        for _ in range(30):
            try:
                await ws.send("hello")
                assert await ws.recv() == "hello"
            except ConnectionClosed as closed:
                return f"{closed.sent.code} {closed.sent.reason!r}"
            await asyncio.sleep(0.1)
        return "30 messages and 30 answers"


async def main():
    _, peer = await connect(port)
    await peer.send(frame(PING, b"one", masked=True))
    return await peer.next(), await talk(ping_interval=1, ping_timeout=1), await talk(ping_interval=None)


server = ("--http-socket", f"127.0.0.1:{port}", "--wsgi-file", "application.py", "--threads", "4")
with running("venv/bin/uwsgi", *server, port=port):
    seen = asyncio.run(main())
print("a ping with 'one' is answered with:", seen[0])
print("a client that pings each second, and talks all the time:", seen[1])
print("a client that sends no pings:", seen[2])
compare(seen, ("pong b''", "1011 'keepalive ping timeout'", "30 messages and 30 answers"))
END
