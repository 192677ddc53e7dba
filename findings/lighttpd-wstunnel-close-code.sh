#!/bin/sh
# lighttpd-wstunnel-close-code: lighttpd's mod_wstunnel answers each close frame with the code 12592.
#
# Expected: the client's own code, or 1000.
# Seen:     its close frame holds the digits "1000" as text, so a client reads the number 12592, the digits "10", and the
#           reason "00". That is no legal code: to a client on `websockets` its own close has failed, with 1006, and aiohttp
#           hands out 12592. When the server behind it ends first, no close frame comes at all.
# Matters:  no socket behind it ever ends cleanly: each goodbye is counted, and logged, as a failure.
# Versions: Debian's lighttpd 1.4.69-1 (bookworm), websockets 17.4, aiohttp 3.14.5; Python 3.11.7; needs apt-get, and
#           installs nothing
#
# Printed on 2026-12-01:
#   a client closes with 1000, the answer is: ['close 12592 00', 'end']
#   a client closes with 4001, the answer is: ['close 12592 00', 'end']
#   a client on websockets closes with 1000; its close code is: 1006
#   a client on aiohttp closes with 1000; its close code is: 12592
#   the server behind it ends; the close code is: 1006
. "$(dirname "$0")/tools.sh"
python_with websockets==17.4 aiohttp==3.14.5
lighttpd_from_debian

run_python <<'END'
import asyncio
from pathlib import Path

import aiohttp
from websockets.asyncio.client import connect as dial
from wire import close, compare, connect, free_port, running, versions

versions("websockets", "aiohttp")
port = free_port()


async def behind(reader, writer):
    """Send what comes back, until "end"."""
    while data := await reader.read(1000):
        if data == b"end":
            break
        writer.write(data)
    writer.close()


async def raw(code):
    _, peer = await connect(port)
    await peer.send(close(code, masked=True))
    return await peer.rest()


async def by_websockets():
    async with dial(f"ws://127.0.0.1:{port}") as ws:
        await ws.close(1000)
    return ws.close_code


async def by_aiohttp():
    async with aiohttp.ClientSession() as session, session.ws_connect(f"ws://127.0.0.1:{port}") as ws:
        await ws.close(code=1000)
        return ws.close_code


async def ended():
    async with dial(f"ws://127.0.0.1:{port}") as ws:
        await ws.send("end")
        await ws.wait_closed()
    return ws.close_code


async def main():
    server = await asyncio.start_server(behind, "127.0.0.1", 0)
    Path("lighttpd.conf").write_text(f"""
        server.modules = ("mod_wstunnel")
        server.document-root = "{Path.cwd()}"
        server.bind = "127.0.0.1"
        server.port = {port}
        wstunnel.server = ("" => (("host" => "127.0.0.1", "port" => {server.sockets[0].getsockname()[1]})))
    """)
    command = ("debian/usr/sbin/lighttpd", "-D", "-f", "lighttpd.conf", "-m", "debian/usr/lib/lighttpd")
    with running(*command, port=port):
        return await raw(1000), await raw(4001), await by_websockets(), await by_aiohttp(), await ended()


seen = asyncio.run(main())
print("a client closes with 1000, the answer is:", seen[0])
print("a client closes with 4001, the answer is:", seen[1])
print("a client on websockets closes with 1000; its close code is:", seen[2])
print("a client on aiohttp closes with 1000; its close code is:", seen[3])
print("the server behind it ends; the close code is:", seen[4])
answer = ["close 12592 00", "end"]
compare(seen, (answer, answer, 1006, 12592, 1006))
END
