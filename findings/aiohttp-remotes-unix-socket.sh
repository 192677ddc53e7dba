#!/bin/sh
# aiohttp-remotes-unix-socket: its strict middlewares for trusted proxies answer 500 to all that comes by a UNIX socket.
#
# Expected: `XForwardedStrict` and `ForwardedStrict` believe the headers of a proxy that they trust, or answer 400. A proxy
#           on a UNIX socket, as nginx's `proxy_pass http://unix:...` is, has no address; who may open the socket is trusted.
# Seen:     both take the first part of the peer's name, which is an empty string there: a ValueError, and 500, for every
#           request. `XForwardedRelaxed`, which asks for no peer, works.
# Matters:  a deployment that moves from a port to a UNIX socket answers nothing but 500. Take `XForwardedRelaxed` there, and
#           let the permissions of the socket say who is trusted.
# Versions: aiohttp-remotes 1.4.0, aiohttp 3.14.5; Python 3.11.7
#
# Printed on 2026-11-30:
#   XForwardedStrict by a port:          200 192.0.2.1
#   XForwardedStrict by a UNIX socket:   500
#   ForwardedStrict by a UNIX socket:    500
#   XForwardedRelaxed by a UNIX socket:  200 192.0.2.1
. "$(dirname "$0")/tools.sh"
python_with aiohttp==3.14.5 aiohttp-remotes==1.4.0

run_python <<'END'
import asyncio
import logging
import tempfile

import aiohttp
from aiohttp import web
from aiohttp_remotes import ForwardedStrict, XForwardedRelaxed, XForwardedStrict
from wire import compare, versions

versions("aiohttp-remotes", "aiohttp")
logging.disable(logging.CRITICAL)
FROM = {"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1"}


async def who(request):
    return web.Response(text=request.remote)


async def ask(trusting, path):
    app = web.Application(middlewares=[trusting.middleware])
    app.router.add_get("/", who)
    runner = web.AppRunner(app)
    await runner.setup()
    if path:
        await web.UnixSite(runner, path).start()
        connector, url = aiohttp.UnixConnector(path), "http://localhost/"
    else:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        connector, url = None, f"http://127.0.0.1:{runner.addresses[0][1]}/"
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url, headers=FROM) as answer:
        seen = f"{answer.status} {await answer.text()}" if answer.status == 200 else str(answer.status)
    await runner.cleanup()
    return seen


async def main(folder):
    proxies = [["127.0.0.1"]]
    return {
        "XForwardedStrict by a port": await ask(XForwardedStrict(proxies), None),
        "XForwardedStrict by a UNIX socket": await ask(XForwardedStrict(proxies), f"{folder}/1"),
        "ForwardedStrict by a UNIX socket": await ask(ForwardedStrict(proxies), f"{folder}/2"),
        "XForwardedRelaxed by a UNIX socket": await ask(XForwardedRelaxed(), f"{folder}/3"),
    }


with tempfile.TemporaryDirectory() as folder:
    seen = asyncio.run(main(folder))
for name, what in seen.items():
    print(f"{f'{name}:':36} {what}")
compare(
    seen,
    {
        "XForwardedStrict by a port": "200 192.0.2.1",
        "XForwardedStrict by a UNIX socket": "500",
        "ForwardedStrict by a UNIX socket": "500",
        "XForwardedRelaxed by a UNIX socket": "200 192.0.2.1",
    },
)
END
