#!/bin/sh
# python-proxies-refuse-with-403: behind asgiproxy and fastapi-proxy-lib, a server that is busy for a second is "forbidden".
#
# Expected: the answer of a server that refuses a WebSocket passes, as nginx passes it, with its status and `Retry-After`;
#           and 502 or 503 if there is no server.
# Seen:     403 for all of them: 503, 401, 404. With asgiproxy, a server that is down is 403, too; with
#           fastapi-proxy-lib it is 500.
# Matters:  clients that tell "come back later" from "you may not" take a restart of the server for the latter, and stay
#           away; and one that should log in again is never told so.
# Versions: asgiproxy 0.2.0, aiohttp 3.14.5, fastapi-proxy-lib 0.3.0, httpx-ws 0.9.0, fastapi 0.165.0, uvicorn 0.54.0 with
#           websockets 17.4; Python 3.11.7
#
# Printed on 2026-12-01:
#   the server answers 503: asgiproxy 403, fastapi-proxy-lib 403
#   the server answers 401: asgiproxy 403, fastapi-proxy-lib 403
#   the server answers 404: asgiproxy 403, fastapi-proxy-lib 403
#   the server is down:     asgiproxy 403, fastapi-proxy-lib 500
. "$(dirname "$0")/tools.sh"
python_with asgiproxy==0.2.0 aiohttp==3.14.5 fastapi-proxy-lib==0.3.0 httpx-ws==0.9.0 fastapi==0.165.0 uvicorn==0.54.0 \
    websockets==17.4
cat > proxy.py <<'END'
import sys

import uvicorn

name, server, port = sys.argv[1], *map(int, sys.argv[2:])
if name == "asgiproxy":
    from asgiproxy.config import BaseURLProxyConfigMixin, ProxyConfig
    from asgiproxy.context import ProxyContext
    from asgiproxy.simple_proxy import make_simple_proxy_app

    class Config(BaseURLProxyConfigMixin, ProxyConfig):
        upstream_base_url = f"http://127.0.0.1:{server}"
        rewrite_host_header = f"127.0.0.1:{server}"

        def get_upstream_websocket_url(self, *, scope):
            return f"ws://127.0.0.1:{server}{scope['path']}"

    application = make_simple_proxy_app(ProxyContext(Config()))
else:
    import httpx
    from fastapi_proxy_lib.fastapi.app import reverse_ws_app

    application = reverse_ws_app(httpx.AsyncClient(), base_url=f"ws://127.0.0.1:{server}/")
uvicorn.run(application, host="127.0.0.1", port=port, log_level="critical")
END

run_python <<'END'
import asyncio

from wire import Server, compare, connect, free_port, running, versions

versions("asgiproxy", "aiohttp", "fastapi-proxy-lib", "httpx-ws", "uvicorn", "websockets")
ANSWERS = {
    "503": "503 Service Unavailable\r\nRetry-After: 1",
    "401": "401 Unauthorized\r\nWWW-Authenticate: Bearer",
    "404": "404 Not Found",
}


async def status(name, server):
    port = free_port()
    with running("venv/bin/python", "proxy.py", name, str(server), str(port), port=port):
        line, peer = await connect(port)
        peer.writer.close()
    return line.split()[1]


async def through(name):
    async def leave(peer):
        pass

    seen = []
    for answer in ANSWERS.values():
        async with Server(leave, answer=f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") as server:
            seen.append(await status(name, server.port))
    return [*seen, await status(name, free_port())]


one, other = (asyncio.run(through(name)) for name in ("asgiproxy", "fastapi-proxy-lib"))
for what, *statuses in zip([*(f"answers {answer}:" for answer in ANSWERS), "is down:    "], one, other):
    print("the server", what, "asgiproxy {}, fastapi-proxy-lib {}".format(*statuses))
compare((one, other), (["403"] * 4, ["403"] * 3 + ["500"]))
END
