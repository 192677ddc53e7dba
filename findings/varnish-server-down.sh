#!/bin/sh
# varnish-server-down: Varnish answers nothing to a WebSocket whose server is down: no 503, it hangs up.
#
# Expected: 503, as for every other request; haproxy, Apache, Caddy and lighttpd answer 502 or 503.
# Seen:     the documented configuration for WebSockets, `return (pipe)`, has no answer for a server that does not accept:
#           the client's connection ends without a byte. A plain request gets "503 Backend fetch failed".
# Matters:  a client cannot tell it from a network failure: no status, no page, nothing in its log. What is told by
#           `vcl_backend_error`, such as `Retry-After`, never goes out.
# Versions: Debian's varnish 7.1.1-2+deb12u1 (bookworm); Python 3.11.7; needs apt-get and a C compiler, installs nothing
#
# Printed on 2026-12-01:
#   the server runs:    a plain request gets 200, a WebSocket 101
#   the server is down: a plain request gets 503, a WebSocket no answer
. "$(dirname "$0")/tools.sh"
"${PYTHON:-python3}" -m venv venv
apt-get download -qq varnish=7.1.1-2+deb12u1 libjemalloc2 2>/dev/null
for package in *.deb; do dpkg-deb -x "$package" debian; done
LD_LIBRARY_PATH=$(dirname "$(find "$folder/debian" -name 'libjemalloc.so.2')")
export LD_LIBRARY_PATH

run_python <<'END'
import asyncio
from pathlib import Path

from wire import compare, connect, free_port, running, versions

versions()


async def plain(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.split()[1].decode() if answer else "no answer"


async def websocket(port):
    try:
        line, peer = await connect(port)
    except asyncio.IncompleteReadError as end:
        assert not end.partial
        return "no answer"
    peer.writer.close()
    return line.split()[1]


async def through(server):
    Path("websockets.vcl").write_text(f"""
        vcl 4.1;
        backend default {{ .host = "127.0.0.1"; .port = "{server}"; }}
        sub vcl_recv {{
            if (req.http.upgrade ~ "(?i)websocket") {{ return (pipe); }}
            return (pass);
        }}
        sub vcl_pipe {{
            if (req.http.upgrade) {{
                set bereq.http.upgrade = req.http.upgrade;
                set bereq.http.connection = req.http.connection;
            }}
        }}
    """)
    port, folder = free_port(), Path.cwd()
    options = ("-F", "-j", "none", "-a", f"127.0.0.1:{port}", "-f", f"{folder}/websockets.vcl", "-n", f"{folder}/run{port}")
    with running("debian/usr/sbin/varnishd", *options, port=port):
        return await plain(port), await websocket(port)


async def main():
    async def http(reader, writer):
        request = await reader.readuntil(b"\r\n\r\n")
        status = "101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade" if b"Upgrade" in request else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    async with await asyncio.start_server(http, "127.0.0.1", 0) as server:
        runs = await through(server.sockets[0].getsockname()[1])
    return runs, await through(free_port())


seen = asyncio.run(main())
for what, (request, upgrade) in zip(("runs:   ", "is down:"), seen):
    print(f"the server {what} a plain request gets {request}, a WebSocket {upgrade}")
compare(seen, (("200", "101"), ("503", "no answer")))
END
