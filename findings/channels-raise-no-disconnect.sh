#!/bin/sh
# channels-raise-no-disconnect: a consumer of Django Channels that raises is not told that its socket is closed.
#
# Expected: `disconnect()` is "called when a WebSocket connection is closed", whatever closed it, so it is the place to leave
#           groups, and to count a user as gone.
# Seen:     when `receive()` raises, the socket is closed and `disconnect()` is not called. What `connect()` has added, to a
#           group or to a list of those who are online, stays. It is called after a close, and after a lost connection.
# Matters:  each exception leaves a ghost in the list. Put what has to be undone into a `finally` around
#           `await super().__call__(...)` of the consumer.
# Versions: channels 4.3.2, Django 5.2.19, daphne 4.2.3, uvicorn 0.54.0 with websockets 17.4; Python 3.11.7
#
# Printed on 2026-12-01:
#   uvicorn: the client closes:     disconnect(1000), still online: 0
#   uvicorn: the client is lost:    disconnect(1005), still online: 0
#   uvicorn: the consumer raises:   no disconnect(), still online: 1; the client got: end
#   daphne: the client closes:      disconnect(1000), still online: 0
#   daphne: the client is lost:     disconnect(1006), still online: 0
#   daphne: the consumer raises:    no disconnect(), still online: 1; the client got: close 1011
. "$(dirname "$0")/tools.sh"
python_with channels==4.3.2 Django==5.2.19 asgiref==3.13.0 daphne==4.2.3 uvicorn==0.54.0 websockets==17.4

cat > app.py <<'END'
import django
from django.conf import settings

settings.configure(SECRET_KEY="finding", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, LOGGING_CONFIG=None)
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

urlpatterns = []
online, codes = set(), []


class Chat(AsyncWebsocketConsumer):
    async def connect(self):
        await self.accept()
        if self.scope["path"] == "/chat":
            online.add(self)

    async def receive(self, text_data=None, bytes_data=None):
        if text_data == "report":
            called = f"disconnect({codes.pop()})" if codes else "no disconnect()"
            await self.send(f"{called}, still online: {len(online)}")
        else:
            raise ValueError(text_data)

    async def disconnect(self, code):
        if self.scope["path"] == "/chat":
            online.discard(self)
            codes.append(code)


app = ProtocolTypeRouter({"websocket": URLRouter([path("chat", Chat.as_asgi()), path("admin", Chat.as_asgi())])})
END

run_python <<'END'
import asyncio

from wire import TEXT, close, compare, connect, frame, free_port, running, versions

versions("channels", "Django", "daphne", "uvicorn", "websockets")
SERVERS = {
    "uvicorn": ("uvicorn", "--log-level", "critical", "app:app", "--port"),
    "daphne": ("daphne", "-v", "0", "app:app", "-p"),
}


async def closes(peer):
    await peer.send(close(1000, masked=True))
    await peer.next()
    return ""


async def is_lost(peer):
    peer.writer.close()
    return ""


async def raises(peer):
    await peer.send(frame(TEXT, b"hello", masked=True))
    return f"; the client got: {await peer.next()}"


ENDS = {"the client closes": closes, "the client is lost": is_lost, "the consumer raises": raises}


async def outcome(port, end):
    _, peer = await connect(port, "/chat")
    await asyncio.sleep(0.2)
    got = await end(peer)
    await asyncio.sleep(1)
    _, admin = await connect(port, "/admin")
    await admin.send(frame(TEXT, b"report", masked=True))
    return (await admin.next()).removeprefix("text b'").removesuffix("'") + got


seen = []
for server, command in SERVERS.items():
    port = free_port()
    with running(*command, str(port), port=port):
        for name, end in ENDS.items():
            seen.append(asyncio.run(outcome(port, end)))
            print(f"{f'{server}: {name}:':31} {seen[-1]}")
compare(
    seen,
    [
        "disconnect(1000), still online: 0",
        "disconnect(1005), still online: 0",
        "no disconnect(), still online: 1; the client got: end",
        "disconnect(1000), still online: 0",
        "disconnect(1006), still online: 0",
        "no disconnect(), still online: 1; the client got: close 1011",
    ],
)
END
