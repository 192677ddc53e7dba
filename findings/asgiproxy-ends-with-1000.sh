#!/bin/sh
# asgiproxy-ends-with-1000: an empty message through asgiproxy ends the connection, with 1000 like every other end.
#
# Expected: an empty message is passed on. What ends a connection passes, too: a code as it is, a lost server as no 1000.
# Seen:     an empty message, text or binary, is never passed on: client and server both get a close with 1000. A server
#           that closes with 1012 or 4001, one that is lost, and one that sends more than 4 MiB at once are all 1000.
# Matters:  1000 says that all is done. Most clients come back after 1012 or a lost connection, and not after 1000.
# Versions: asgiproxy 0.2.0, aiohttp 3.14.5, uvicorn 0.54.0, websockets 17.4; Python 3.11.7
#
# Printed on 2026-12-01:
#   the client sends an empty text:      directly it stays open, through asgiproxy closed with 1000
#   the client sends an empty binary:    directly it stays open, through asgiproxy closed with 1000
#   the server closes with 1012:         directly closed with 1012, through asgiproxy closed with 1000
#   the server closes with 4001:         directly closed with 4001, through asgiproxy closed with 1000
#   the server is lost:                  directly closed with 1006, through asgiproxy closed with 1000
#   the server sends a message of 5 MB:  directly it stays open, through asgiproxy closed with 1000
. "$(dirname "$0")/tools.sh"
python_with asgiproxy==0.2.0 aiohttp==3.14.5 uvicorn==0.54.0 websockets==17.4
cat > proxy.py <<'END'
import sys

import uvicorn
from asgiproxy.config import BaseURLProxyConfigMixin, ProxyConfig
from asgiproxy.context import ProxyContext
from asgiproxy.simple_proxy import make_simple_proxy_app

server, port = map(int, sys.argv[1:])


class Config(BaseURLProxyConfigMixin, ProxyConfig):
    upstream_base_url = f"http://127.0.0.1:{server}"
    rewrite_host_header = f"127.0.0.1:{server}"

    def get_upstream_websocket_url(self, *, scope):
        return f"ws://127.0.0.1:{server}{scope['path']}"


application = make_simple_proxy_app(ProxyContext(Config()))
uvicorn.run(application, host="127.0.0.1", port=port, log_level="error")
END

run_python <<'END'
import asyncio
from contextlib import suppress

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from wire import compare, free_port, running, versions

versions("asgiproxy", "aiohttp", "uvicorn", "websockets")
CASES = {
    "the client sends an empty text": "",
    "the client sends an empty binary": b"",
    "the server closes with 1012": "1012",
    "the server closes with 4001": "4001",
    "the server is lost": "lost",
    "the server sends a message of 5 MB": "big",
}


async def handler(ws):
    with suppress(ConnectionClosed):
        async for message in ws:
            if message == "lost":
                ws.transport.abort()
            elif message == "big":
                await ws.send(b"x" * 5_000_000)
            elif message:
                await ws.close(int(message))


async def result(port, message):
    async with connect(f"ws://127.0.0.1:{port}", max_size=None) as ws:
        await ws.send(message)
        try:
            async with asyncio.timeout(2):
                await ws.wait_closed()
        except TimeoutError:
            return "it stays open"
    return f"closed with {int(ws.close_code)}"


async def main():
    proxy = free_port()
    async with serve(handler, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        with running("venv/bin/python", "proxy.py", str(port), str(proxy), port=proxy):
            return {name: [await result(to, message) for to in (port, proxy)] for name, message in CASES.items()}


seen = asyncio.run(main())
for name, (directly, through) in seen.items():
    print(f"{name}:".ljust(36), f"directly {directly}, through asgiproxy {through}")
stays, done = "it stays open", "closed with 1000"
compare(
    list(seen.values()),
    [[stays, done], [stays, done], ["closed with 1012", done], ["closed with 4001", done]]
    + [["closed with 1006", done], [stays, done]],
)
END
