#!/bin/sh
# apache-h2-lost-server: behind Apache, a client over HTTP/2 learns that its server has ended only after Timeout.
#
# Expected: the end of the server's connection ends the stream, as it ends the connection of a client over HTTP/1.1 at once.
# Seen:     over HTTP/2 the stream of a client that only listens stays open for another Timeout, which is 60 s by default and
#           300 s in Debian's configuration. What the client sends meanwhile goes nowhere.
# Matters:  with `H2WebSockets on` all browsers come over HTTP/2. When a server dies, their pages show "connected" for
#           minutes, and reconnect all at different times. A close frame of the server's passes at once.
# Versions: Debian's apache2-bin 2.4.71-1~deb12u1 (bookworm), h2 4.4.1; Python 3.11.7; needs apt-get, and installs nothing
#
# Printed on 2026-12-01:
#   Timeout 3, over HTTP/1.1: the client learns of the lost server at once
#   Timeout 3, over HTTP/2: the client learns of the lost server after 3 s
#   Timeout 6, over HTTP/1.1: the client learns of the lost server at once
#   Timeout 6, over HTTP/2: the client learns of the lost server after 6 s
. "$(dirname "$0")/tools.sh"
python_with h2==4.4.1
chmod 755 .
apt-get download -qq apache2-bin=2.4.71-1~deb12u1 libapr1 libaprutil1 libnghttp2-14 libbrotli1 liblua5.3-0 2>/dev/null
for package in *.deb; do dpkg-deb -x "$package" debian; done
LD_LIBRARY_PATH=$(dirname "$(find "$folder/debian" -name 'libapr-1.so.0')")
export LD_LIBRARY_PATH

run_python <<'END'
import asyncio
import os
import time
from pathlib import Path

import h2.config
import h2.connection
import h2.events
from wire import Server, compare, connect, free_port, running, versions

versions("h2")
folder, modules = Path.cwd(), Path.cwd() / "debian/usr/lib/apache2/modules"


def configured(port, server, timeout):
    loads = "\n".join(
        f"LoadModule {name}_module {modules}/mod_{name}.so"
        for name in ("mpm_event", "authz_core", "http2", "proxy", "proxy_http")
    )
    Path("apache.conf").write_text(f"""
        ServerRoot {folder}
        ServerName localhost
        PidFile {folder}/apache.pid
        ErrorLog {folder}/error.log
        Listen 127.0.0.1:{port}
        {loads}
        {"User www-data" if os.getuid() == 0 else ""}
        Protocols h2c http/1.1
        H2WebSockets on
        Timeout {timeout}
        ProxyPass / http://127.0.0.1:{server}/ upgrade=websocket
    """)
    return "debian/usr/sbin/apache2", "-DFOREGROUND", "-f", f"{folder}/apache.conf"


async def over_http1(port):
    status, peer = await connect(port)
    assert "101" in status and await peer.next(20) == "end"


async def over_http2(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    writer.write(connection.data_to_send())
    opened = ended = False
    while not ended:
        for event in connection.receive_data(await asyncio.wait_for(reader.read(65536), 20)):
            if isinstance(event, h2.events.RemoteSettingsChanged):  # it allows extended CONNECT, RFC 8441
                names = {":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": "/"}
                others = {":authority": f"127.0.0.1:{port}", "sec-websocket-version": "13"}
                connection.send_headers(1, [*names.items(), *others.items()])
            opened |= isinstance(event, h2.events.ResponseReceived)
            ended |= isinstance(event, h2.events.StreamEnded | h2.events.StreamReset)
        writer.write(connection.data_to_send())
    assert opened
    writer.close()


async def main():
    seen = {}

    async def lost(peer):
        await asyncio.sleep(0.5)
        peer.writer.transport.abort()
        seen["lost"] = time.monotonic()

    async with Server(lost) as server:
        for timeout in (3, 6):
            for name, run in (("HTTP/1.1", over_http1), ("HTTP/2", over_http2)):
                port = free_port()
                with running(*configured(port, server.port, timeout), port=port):
                    await run(port)
                    seconds = round(time.monotonic() - seen.pop("lost"))
                seen[timeout, name] = f"after {seconds} s" if seconds else "at once"
    return seen


seen = asyncio.run(main())
for (timeout, name), when in seen.items():
    print(f"Timeout {timeout}, over {name}: the client learns of the lost server {when}")
at_once = {(3, "HTTP/1.1"): "at once", (6, "HTTP/1.1"): "at once"}
compare(seen, at_once | {(3, "HTTP/2"): "after 3 s", (6, "HTTP/2"): "after 6 s"})
END
