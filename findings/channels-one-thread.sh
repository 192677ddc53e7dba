#!/bin/sh
# channels-one-thread: all synchronous consumers of Django Channels share one thread; a slow one holds up each other socket.
#
# Expected: a WebsocketConsumer runs in a pool of threads, as its docstring says and as `def` handlers of FastAPI do, so that
#           one that waits for a database for two seconds delays its own client only.
# Seen:     all of them run in one thread of the server, whatever the client: while one works, no other one handles a
#           message, and no socket opens. The same on uvicorn and daphne. Pings are answered meanwhile, by the server.
# Matters:  it works with one client, and in tests, and stalls with many. A time limit for answers ends at the wrong clients.
#           Write consumers as AsyncWebsocketConsumer, with `asyncio.to_thread` around what blocks.
# Versions: channels 4.3.2, Django 5.2.19, asgiref 3.13.0, daphne 4.2.3, uvicorn 0.54.0 with websockets 17.4; Python 3.11.7
#
# Printed on 2026-12-01:
#   while one consumer is busy for 2 seconds, what another client asks for comes
#   uvicorn, WebsocketConsumer:      when that one is done; so does an open socket
#   uvicorn, AsyncWebsocketConsumer: at once; so does an open socket
#   daphne, WebsocketConsumer:       when that one is done; so does an open socket
#   daphne, AsyncWebsocketConsumer:  at once; so does an open socket
. "$(dirname "$0")/tools.sh"
python_with channels==4.3.2 Django==5.2.19 asgiref==3.13.0 daphne==4.2.3 uvicorn==0.54.0 websockets==17.4

cat > app.py <<'END'
import asyncio
import time

import django
from django.conf import settings

settings.configure(SECRET_KEY="finding", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, LOGGING_CONFIG=None)
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

urlpatterns = []


class Threads(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        time.sleep(float(text_data))
        self.send("done")


class Coroutines(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await asyncio.to_thread(time.sleep, float(text_data))
        await self.send("done")


routes = [path("threads", Threads.as_asgi()), path("coroutines", Coroutines.as_asgi())]
app = ProtocolTypeRouter({"websocket": URLRouter(routes)})
END

run_python <<'END'
import asyncio
import time

from wire import TEXT, compare, connect, frame, free_port, running, versions

versions("channels", "Django", "asgiref", "daphne", "uvicorn", "websockets")
SERVERS = {
    "uvicorn": ("uvicorn", "--log-level", "critical", "app:app", "--port"),
    "daphne": ("daphne", "-v", "0", "app:app", "-p"),
}
CONSUMERS = {"threads": "WebsocketConsumer", "coroutines": "AsyncWebsocketConsumer"}


async def timed(what):
    """Say whether this is done soon, or after the 2 seconds of another consumer."""
    began = time.monotonic()
    await what
    return "at once" if time.monotonic() - began < 1 else "when that one is done"


async def asked(peer):
    await peer.send(frame(TEXT, b"0", masked=True))
    assert await peer.next() == "text b'done'"


async def outcome(port, path):
    _, busy = await connect(port, path)
    _, other = await connect(port, path)
    await asked(other)
    await busy.send(frame(TEXT, b"2", masked=True))
    await asyncio.sleep(0.3)
    seen = await asyncio.gather(timed(asked(other)), timed(connect(port, path)))
    await busy.next()
    return seen


seen = {}
print("while one consumer is busy for 2 seconds, what another client asks for comes")
for server, command in SERVERS.items():
    port = free_port()
    with running(*command, str(port), port=port):
        for path, consumer in CONSUMERS.items():
            answer, opened = asyncio.run(outcome(port, f"/{path}"))
            opens = "so does" if opened == answer else f"{opened} does"
            print(f"{f'{server}, {consumer}:':32} {answer}; {opens} an open socket")
            seen[server, path] = answer, opened
waits, at_once = ("when that one is done",) * 2, ("at once",) * 2
compare(seen, {(server, path): waits if path == "threads" else at_once for server in SERVERS for path in CONSUMERS})
END
