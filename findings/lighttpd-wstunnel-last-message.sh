#!/bin/sh
# lighttpd-wstunnel-last-message: lighttpd's mod_wstunnel drops the messages that arrive together with the close frame.
#
# Expected: what a client sent before its close frame reaches the server behind the tunnel, then the connection ends.
# Seen:     of what one read brings with a close frame, nothing is passed on: a message that is sent right before the close
#           is lost, without an error at either end. Half a second in between, and it arrives.
# Matters:  "send, then close" is what short-lived clients do, and `async with connect(...)` closes as its block ends.
#           Only an answer of the server's shows that a message has arrived.
# Versions: Debian's lighttpd 1.4.69-1 (bookworm); Python 3.11.7; needs apt-get, and installs nothing
#
# Printed on 2026-12-01:
#   two messages, and the close half a second later: the server gets b'onetwo'
#   two messages and the close at once: the server gets b''
. "$(dirname "$0")/tools.sh"
"${PYTHON:-python3}" -m venv venv
lighttpd_from_debian

run_python <<'END'
import asyncio
from pathlib import Path

from wire import TEXT, close, compare, connect, frame, free_port, running, versions

versions()
port = free_port()


async def main():
    read = asyncio.Queue()

    async def behind(reader, writer):
        read.put_nowait(await reader.read())
        writer.close()

    server = await asyncio.start_server(behind, "127.0.0.1", 0)
    Path("lighttpd.conf").write_text(f"""
        server.modules = ("mod_wstunnel")
        server.document-root = "{Path.cwd()}"
        server.bind = "127.0.0.1"
        server.port = {port}
        wstunnel.server = ("" => (("host" => "127.0.0.1", "port" => {server.sockets[0].getsockname()[1]})))
    """)
    seen = []
    command = ("debian/usr/sbin/lighttpd", "-D", "-f", "lighttpd.conf", "-m", "debian/usr/lib/lighttpd")
    with running(*command, port=port):
        for seconds in (0.5, 0):
            _, peer = await connect(port)
            messages, end = [frame(TEXT, text, masked=True) for text in (b"one", b"two")], close(1000, masked=True)
            if seconds:
                await peer.send(*messages)
                await asyncio.sleep(seconds)
                await peer.send(end)
            else:
                await peer.send(*messages, end)
            assert (await peer.rest())[-1] == "end"
            seen.append(await read.get())
    return seen


seen = asyncio.run(main())
print("two messages, and the close half a second later: the server gets", seen[0])
print("two messages and the close at once: the server gets", seen[1])
compare(seen, [b"onetwo", b""])
END
