#!/bin/sh
# lighttpd-one-way: lighttpd cuts a WebSocket in the middle of a stream, since only the other direction is idle.
#
# Expected: an idle timeout ends what is idle: a message in either direction counts, as in nginx, haproxy, Apache, Varnish,
#           h2o and nghttpx, which were tried the same way.
# Seen:     mod_proxy has one clock for each direction. A client that only listens is cut after server.max-read-idle, 60 s by
#           default, while the server sends; one that only sends is cut after server.max-write-idle, 360 s by default.
# Matters:  a feed without pings ends each minute, always after the same time, however much it sends. A ping of the server's
#           that the client answers restarts both clocks.
# Versions: Debian's lighttpd 1.4.69-1 (bookworm); Python 3.11.7; needs apt-get, and installs nothing
#
# Printed on 2026-12-01:
#   max-read-idle 3, the server sends twice a second:             cut
#   max-read-idle 3, the client sends twice a second:             open after 8 s
#   max-write-idle 3, the server sends twice a second:            open after 8 s
#   max-write-idle 3, the client sends twice a second:            cut
#   both 3, the server pings twice a second, the client answers:  open after 8 s
. "$(dirname "$0")/tools.sh"
"${PYTHON:-python3}" -m venv venv
lighttpd_from_debian

run_python <<'END'
import asyncio
from pathlib import Path

from wire import PING, PONG, TEXT, Server, compare, connect, frame, free_port, running, versions

versions()


async def stays(timeouts, down=b"", up=b"", answers=False):
    """Send such frames twice a second; return whether the client is still connected after 8 s."""

    async def server_side(peer):
        while True:
            await peer.send(down)
            await asyncio.sleep(0.5)

    async with Server(server_side) as server:
        port = free_port()
        Path(f"{port}.conf").write_text(f"""
            server.modules = ("mod_proxy")
            server.document-root = "{Path.cwd()}"
            server.bind = "127.0.0.1"
            server.port = {port}
            {timeouts}
            proxy.header = ("upgrade" => "enable")
            proxy.server = ("" => (("host" => "127.0.0.1", "port" => {server.port})))
        """)
        command = ("debian/usr/sbin/lighttpd", "-D", "-f", f"{port}.conf", "-m", "debian/usr/lib/lighttpd")
        with running(*command, port=port):
            _, peer = await connect(port)
            for _ in range(16):
                await peer.send(up)
                if (line := await peer.next(0.5)) in ("end", "reset"):
                    return False
                if answers and line.startswith("ping"):
                    await peer.send(frame(PONG, b"p", masked=True))
            return True


async def main():
    read, write = "server.max-read-idle = 3\n", "server.max-write-idle = 3\n"
    text, masked = frame(TEXT, b"news"), frame(TEXT, b"news", masked=True)
    return await asyncio.gather(
        stays(read, down=text),
        stays(read, up=masked),
        stays(write, down=text),
        stays(write, up=masked),
        stays(read + write, down=frame(PING, b"p"), answers=True),
    )


seen = asyncio.run(main())
cases = [f"max-{way}-idle 3, the {who} sends twice a second:" for way in ("read", "write") for who in ("server", "client")]
for name, open_still in zip([*cases, "both 3, the server pings twice a second, the client answers:"], seen):
    print(name.ljust(61), "open after 8 s" if open_still else "cut")
compare(seen, [False, True, True, False, True])
END
