"""What each further process costs the broker: so many connections that listen, one that publishes, and nobody behind.

`python -m benchmarks.listeners URL BROKER_PID LISTENERS MESSAGES` prints it as JSON: messages a second, and the
broker's CPU seconds for each.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from urllib.parse import urlsplit

import uvloop

import rxws
from benchmarks.crowd import BYTES
from benchmarks.load import CORE, cpu_seconds

TEXT = "x" * (BYTES - 2)
HELLO = {
    "nats": b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB rxws.live.room.tea 1\r\n',
    "redis": b"SUBSCRIBE room.tea\r\n",
}


class Listener(asyncio.Protocol):
    """One connection, as a process of a server has it; counts the quotes, of which each message has two."""

    quotes = 0

    def data_received(self, data: bytes) -> None:
        Listener.quotes += data.count(b'"')


async def publish_nats(url: str, messages: int) -> None:
    async with rxws.topics(url) as topics:
        for start in range(0, messages, 1000):
            for _ in range(min(1000, messages - start)):
                topics["room.tea"].on_next(TEXT)
            await topics.confirmed()


async def publish_redis(url: str, messages: int) -> None:
    from redis.asyncio import Redis

    async with Redis.from_url(url) as redis, asyncio.TaskGroup() as group:

        async def some(number: int) -> None:
            for _ in range(number):
                await redis.publish("room.tea", f'"{TEXT}"')

        for _ in range(16):
            group.create_task(some(messages // 16))


async def main() -> None:
    url, pid, listeners, messages = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    parts, publish = urlsplit(url), {"nats": publish_nats, "redis": publish_redis}[urlsplit(url).scheme]
    for _ in range(listeners):
        transport, _ = await asyncio.get_running_loop().create_connection(Listener, parts.hostname, parts.port)
        transport.write(HELLO[parts.scheme])
    await publish(url, 160)
    await asyncio.sleep(0.2)
    Listener.quotes, began, cpu = 0, time.perf_counter(), cpu_seconds(pid)
    await publish(url, messages)
    async with asyncio.timeout(30):
        while Listener.quotes < 2 * messages * listeners:
            await asyncio.sleep(0.005)
    seconds = time.perf_counter() - began
    print(json.dumps({"messages": messages / seconds, "broker": (cpu_seconds(pid) - cpu) / messages}))


if __name__ == "__main__":
    os.sched_setaffinity(0, {1 - CORE})
    uvloop.run(main())
