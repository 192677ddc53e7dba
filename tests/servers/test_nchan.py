"""nchan, of nginx: a channel followed through its timeouts, a reload and a restart."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

import rxws
from tests.ports import free_port
from tests.servers.process import beside, causes, check_account, serving, until
from tests.streams import watch

CONFIGURATION = """
user root;
daemon off;
pid nginx.pid;
error_log stderr;
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
worker_processes 1;
events {{ worker_connections 100; }}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{port};
        location = /publish {{ nchan_publisher http; nchan_channel_id feed; nchan_message_buffer_length 1000; }}
        location = /feed {{
            nchan_subscriber websocket;
            nchan_channel_id feed;
            nchan_subscriber_first_message oldest;
            nchan_subscriber_last_message_id $arg_since;
            nchan_subscriber_timeout 1s;
        }}
    }}
}}
"""


class Meta:
    """The subprotocol ws+meta.nchan: headers, an empty line, the message."""

    def decode(self, data: str | bytes) -> tuple[str, int]:
        head, _, body = str(data).partition("\n\n")
        headers = dict(line.split(": ", 1) for line in head.splitlines())
        return headers["id"], int(body)

    def encode(self, message: str) -> str:
        return message


class Client:
    """Publishes numbers over HTTP, and follows them by WebSocket from the last one that it has."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.since = ""
        self.sent: list[int] = []
        self.got: list[int] = []
        self.publishing = asyncio.Event()

    def state(self, state: rxws.State) -> None:
        """Begin anew with a channel that is gone: the next one counts from 0 again, in the same second perhaps."""
        if isinstance(state, rxws.Waiting) and state.because == rxws.Close(1001, "410 Gone"):
            self.since = ""

    def url(self) -> str:
        """Where the feed goes on."""
        return f"ws://127.0.0.1:{self.port}/feed?since={self.since}"

    def take(self, message: tuple[str, int]) -> None:
        self.since = message[0]
        self.got.append(message[1])

    async def publish(self) -> None:
        """Publish for as long as `publishing` is set; what nginx has not confirmed counts as not sent."""
        async with aiohttp.ClientSession() as session:
            for number in itertools.count():
                await self.publishing.wait()
                with suppress(aiohttp.ClientError):
                    async with session.post(f"http://127.0.0.1:{self.port}/publish", data=str(number)) as answer:
                        answer.raise_for_status()
                    self.sent.append(number)
                await asyncio.sleep(0.005)

    async def more(self, number: int = 30) -> None:
        goal = len(self.got) + number
        await until(lambda: len(self.got) >= goal, f"{goal} messages, not {len(self.got)}")


async def next_second() -> None:
    """Wait until the numbers of messages, which count within a second, cannot meet those of before a crash."""
    await asyncio.sleep(1.02 - time.time() % 1)


async def test_nchan_through_restarts(tmp_path: Path) -> None:
    """Each connection begins after the last message of the one before; what nginx took arrives, once and in order."""
    client = Client(port := free_port())
    (tmp_path / "nginx.conf").write_text(CONFIGURATION.format(port=port))
    command = ("nginx", "-p", tmp_path, "-c", tmp_path / "nginx.conf", "-e", "stderr")
    backoff = rxws.Backoff(initial=0.02, maximum=0.1, final="refused")
    options: Any = {"codec": Meta(), "protocols": ["ws+meta.nchan"], "reconnect": backoff}
    async with (
        serving(tmp_path, *command, port=port) as server,
        rxws.connect(client.url, **options) as socket,
        beside(client.publish()),
    ):
        states = watch(s=socket.states)
        ends = causes(socket)
        socket.states.subscribe(client.state)
        socket.incoming.subscribe(client.take)
        for end in (signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL, None):
            client.publishing.set()
            await client.more()
            client.publishing.clear()
            await until(lambda: client.got[-1] == client.sent[-1], "the last one")  # nginx keeps none through its end
            match end:
                case signal.SIGHUP:
                    server.signal(end)
                case None:
                    await until(lambda: isinstance(states[-1][1], rxws.Waiting), "the timeout of a subscriber")
                case signal.SIGQUIT:
                    client.publishing.set()
                    await server.stop(end)
                    await server.start()
                case _:
                    client.publishing.set()
                    await server.kill()
                    await next_second()
                    await server.start()
        client.publishing.set()
        await client.more()
        client.publishing.clear()
        await until(lambda: client.got[-1] == client.sent[-1], "the last one")
    goodbyes = [repr(end) for end in ends]
    assert goodbyes[:3] == [
        "Close(code=1001, reason='410 Gone')",
        "Close(code=1001, reason='410 Gone')",
        "ConnectionLost('the connection ended without a close frame')",
    ]
    assert set(goodbyes[3:]) == {"Close(code=1000, reason='408 408 Request Timeout')"}  # more than one if we are slow
    check_account(client.sent, client.got, [])
