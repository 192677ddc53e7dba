#!/bin/sh
# aiohttp-redirect-to-wss: aiohttp's ws_connect follows a redirect to http://, and refuses the same one to ws:// or wss://.
#
# Expected: a handshake that is redirected to a `ws://` or `wss://` location, the schemes of WebSockets (RFC 6455, section
#           3), is made there, as it is when the location says `http://`. `ws_connect` itself takes all of them.
# Seen:     a location with `ws://` or `wss://` raises NonHttpUrlRedirectClientError; `http://` and relative ones are
#           followed to the same server.
# Matters:  a gateway that sends its clients to another host writes the URL as clients know it. Clients that follow it
#           everywhere else fail here, with an error whose text is the URL alone.
# Versions: aiohttp 3.14.5; Python 3.11.7
#
# Printed on 2026-11-29:
#   to http://:  101, an echo
#   to /path:    101, an echo
#   to ws://:    NonHttpUrlRedirectClientError
#   to wss://:   NonHttpUrlRedirectClientError
. "$(dirname "$0")/tools.sh"
python_with aiohttp==3.14.5

run_python <<'END'
import asyncio

import aiohttp
from aiohttp import web
from wire import compare, versions

versions("aiohttp")


async def echo(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


async def outcome(session, url):
    try:
        async with session.ws_connect(url) as socket:
            await socket.send_str("an echo")
            return f"101, {await socket.receive_str()}"
    except aiohttp.ClientError as error:
        return type(error).__name__


async def main():
    app = web.Application()
    app.router.add_get("/path", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    locations = {
        "http://": f"http://127.0.0.1:{port}/path",
        "/path": "/path",
        "ws://": f"ws://127.0.0.1:{port}/path",
        "wss://": f"wss://127.0.0.1:{port}/path",
    }
    seen = {}
    for name, location in locations.items():

        async def elsewhere(_, location=location):
            raise web.HTTPFound(location)

        other = web.Application()
        other.router.add_get("/", elsewhere)
        other.router.add_get("/path", echo)
        second = web.AppRunner(other)
        await second.setup()
        await web.TCPSite(second, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as session:
            seen[name] = await outcome(session, f"ws://127.0.0.1:{second.addresses[0][1]}/")
        await second.cleanup()
    await runner.cleanup()
    return seen


seen = asyncio.run(main())
for name, what in seen.items():
    print(f"{f'to {name}:':12} {what}")
refused = "NonHttpUrlRedirectClientError"
compare(seen, {"http://": "101, an echo", "/path": "101, an echo", "ws://": refused, "wss://": refused})
END
