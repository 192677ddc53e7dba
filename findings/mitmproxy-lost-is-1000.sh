#!/bin/sh
# mitmproxy-lost-is-1000: through mitmproxy, each lost connection is a close with 1000, a normal closure.
#
# Expected: a tool that shows what is on the wire drops one side when the other one is lost: no close frame, 1006.
# Seen:     it sends a close frame with 1000 of its own, to the client as to the server. Close codes do pass.
# Matters:  whoever looks with mitmproxy why a client does not come back makes it stay away: most take 1000 as final.
# Versions: mitmproxy 11.0.2 (12.3.1, which needs Python 3.12, is the same), websockets 17.4; Python 3.11.7
#
# Printed on 2026-12-01:
#   the server is lost:          directly 1006, through mitmproxy 1000
#   the server closes with 4001: directly 4001, through mitmproxy 4001
#   the client is lost:          directly 1006, through mitmproxy 1000
#   the client closes with 4001: directly 4001, through mitmproxy 4001
. "$(dirname "$0")/tools.sh"
python_with "mitmproxy==${MITMPROXY:-11.0.2}" websockets==17.4

run_python <<'END'
import asyncio

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from wire import compare, free_port, running, versions

versions("mitmproxy", "websockets")


async def end(ws, message):
    """Lose the connection, or close with a code."""
    if message == "lost":
        ws.transport.abort()
    else:
        await ws.close(int(message))


async def main():
    told = asyncio.Queue()

    async def handler(ws):
        message = await ws.recv()
        if message != "listen":
            await end(ws, message)
        await ws.wait_closed()
        told.put_nowait(ws.close_code)

    async def codes(port):
        """Return the close codes that the client, then the server, is told of what the other does."""
        for message in ("lost", "4001"):
            async with connect(f"ws://127.0.0.1:{port}") as ws:
                await ws.send(message)
                await ws.wait_closed()
            await told.get()
            yield int(ws.close_code)
        for message in ("lost", "4001"):
            async with connect(f"ws://127.0.0.1:{port}") as ws:
                await ws.send("listen")
                await asyncio.sleep(0.5)
                await end(ws, message)
            yield int(await told.get())

    async with serve(handler, "127.0.0.1", 0) as server:
        port, proxy = server.sockets[0].getsockname()[1], free_port()
        options = ("--mode", f"reverse:http://127.0.0.1:{port}", "--listen-host", "127.0.0.1", "-p", str(proxy))
        with running("venv/bin/mitmdump", "-q", "--set", "confdir=mitmproxy", *options, port=proxy):
            return [[code async for code in codes(to)] for to in (port, proxy)]


seen = asyncio.run(main())
ends = [f"the {who} {what}:" for who in ("server", "client") for what in ("is lost", "closes with 4001")]
for name, directly, through in zip(ends, *seen):
    print(name.ljust(28), f"directly {directly}, through mitmproxy {through}")
compare(seen, [[1006, 4001, 1006, 4001], [1000, 4001, 1000, 4001]])
END
