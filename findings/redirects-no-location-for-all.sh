#!/bin/sh
# redirects-no-location-for-all: no Location header is followed by aiohttp, websockets and websocket-client alike.
#
# Expected: clients that follow a redirect of the handshake agree on a URL: `ws://` is the scheme of all of them, and a
#           relative one (RFC 9110, section 10.2.2) is the safest.
# Seen:     aiohttp follows `http://` and refuses `ws://`; websockets does the reverse. Both follow a path, and `//host/path`.
#           websocket-client follows `ws://` alone: the others are "invalid" to it. Tornado follows none.
# Matters:  a server that moves has to know the libraries of its clients: each header works in a test with the one and fails
#           with another. `//host/path`, without a scheme, serves aiohttp and websockets to another host, too.
# Versions: aiohttp 3.14.5, websockets 17.4, websocket-client 1.9.2, tornado 6.6.1; Python 3.11.7
#
# Printed on 2026-11-30:
#   ws://host/path:   aiohttp: refused   websockets: hello     websocket-client: hello     tornado: refused
#   http://host/path: aiohttp: hello     websockets: refused   websocket-client: refused   tornado: refused
#   /path:            aiohttp: hello     websockets: hello     websocket-client: refused   tornado: refused
#   //host/path:      aiohttp: hello     websockets: hello     websocket-client: refused   tornado: refused
. "$(dirname "$0")/tools.sh"
python_with aiohttp==3.14.5 websockets==17.4 websocket-client==1.9.2 tornado==6.6.1

run_python <<'END'
import asyncio

import aiohttp
import tornado.websocket
import websocket
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from wire import compare, versions

versions("aiohttp", "websockets", "websocket-client", "tornado")


async def with_aiohttp(url):
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        return await socket.receive_str()


async def with_websockets(url):
    async with connect(url) as socket:
        return await socket.recv()


async def with_websocket_client(url):
    socket = await asyncio.to_thread(websocket.create_connection, url, timeout=10)
    try:
        return await asyncio.to_thread(socket.recv)
    finally:
        await asyncio.to_thread(socket.close)


async def with_tornado(url):
    socket = await tornado.websocket.websocket_connect(url)
    return await socket.read_message()


clients = {
    "aiohttp": with_aiohttp,
    "websockets": with_websockets,
    "websocket-client": with_websocket_client,
    "tornado": with_tornado,
}


locations = {"/ws": "ws://host/path", "/http": "http://host/path", "/same-host": "/path", "/other-host": "//host/path"}


def redirect(socket, request):
    if request.path == "/path":
        return None
    answer = socket.respond(307, "")
    host = request.headers["Host"]
    answer.headers["Location"] = locations[request.path].replace("host", host)
    return answer


async def greet(socket):
    await socket.send("hello")
    await socket.wait_closed()


async def main():
    seen = {}
    async with serve(greet, "127.0.0.1", 0, process_request=redirect) as server:
        port = server.sockets[0].getsockname()[1]
        for path, location in locations.items():
            seen[location] = []
            for client in clients.values():
                try:
                    seen[location].append(await client(f"ws://127.0.0.1:{port}{path}"))
                except Exception as error:
                    seen[location].append(type(error).__name__)
    return seen


seen = asyncio.run(main())
for location, outcomes in seen.items():
    told = [what if what == "hello" else "refused" for what in outcomes]
    line = "   ".join(f"{name}: {what:7}" for name, what in zip(clients, told, strict=True))
    print(f"{location}:".ljust(17), line.rstrip())
no = ["NonHttpUrlRedirectClientError", "InvalidURI", "WebSocketException", "HTTPClientError"]
compare(
    seen,
    {
        "ws://host/path": [no[0], "hello", "hello", no[3]],
        "http://host/path": ["hello", *no[1:]],
        "/path": ["hello", "hello", *no[2:]],
        "//host/path": ["hello", "hello", *no[2:]],
    },
)
END
