"""The load of a fan-out, in a process of its own, pinned to another core: clients of one room, at one server or at two.

`python -m benchmarks.crowd DIALECT SOCKETS RATE WINDOW SECONDS SERVER_PIDS BROKER_PID URL...` opens so many sockets at
each URL, of which the first says 64 bytes that all should hear: so many times a second, then with so many on their way,
as fast as that goes. Without a broker (0), the first one at each URL does. It prints what it saw as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.load import CORE, cpu_seconds

SAMPLED = 10
"""Of so many sockets one's latency is noted."""
BYTES = 64
WARM_UP = 0.3
AT_LEAST = 6
"""Messages at the rate."""


class Plain(WSListener):
    """A member of the room, which hears texts."""

    before, after = b"", b""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.ready = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.ready.set_result(None)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.crowd.hear()

    def say(self, text: bytes) -> None:
        self.transport.send(WSMsgType.TEXT, self.before + text + self.after)


class SampledPlain(Plain):
    """The same, which notes how long messages took."""

    start = 1

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        self.crowd.latencies.append(time.perf_counter() - float(payload[self.start : self.start + 18]))
        self.crowd.hear()


class SocketIO(SampledPlain):
    """A member that speaks Socket.IO's protocol, as far as a room needs it."""

    before, after, start = b'42["say",', b"]", len('42["said","')
    sampled = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        payload = frame.get_payload_as_bytes()
        if payload.startswith(b"42"):
            if self.sampled:
                self.crowd.latencies.append(time.perf_counter() - float(payload[self.start : self.start + 18]))
            self.crowd.hear()
        elif payload == b"2":
            transport.send(WSMsgType.TEXT, b"3")
        elif payload.startswith(b"0"):
            transport.send(WSMsgType.TEXT, b"40")
        elif payload.startswith(b"40"):
            self.ready.set_result(None)


class SampledSocketIO(SocketIO):
    sampled = True


DIALECTS = {"plain": (Plain, SampledPlain), "socketio": (SocketIO, SampledSocketIO)}


class Crowd:
    """All sockets, and what they have heard."""

    def __init__(self) -> None:
        self.heard = 0
        self.latencies: list[float] = []
        self.speakers: list[Plain] = []
        self.size = 0
        self._mark = sys.maxsize

    async def come(self, dialect: str, urls: list[str], sockets: int) -> None:
        one, sampled = DIALECTS[dialect]
        for url in urls:
            members = [(one if number % SAMPLED else sampled)(self) for number in range(sockets)]
            for start in range(0, sockets, 50):
                chunk = members[start : start + 50]
                await asyncio.gather(*(ws_connect(lambda m=m: m, url) for m in chunk))
                await asyncio.gather(*(member.ready for member in chunk))
            self.speakers.append(members[0])
        self.size = len(urls) * sockets

    def say(self) -> None:
        text = f'"{time.perf_counter():018.9f}'.ljust(BYTES - 1, "x") + '"'
        for speaker in self.speakers:
            speaker.say(text.encode())

    def hear(self) -> None:
        self.heard += 1
        if self.heard >= self._mark:
            self._mark += self.size
            self.say()

    async def all_heard(self, messages: int) -> None:
        async with asyncio.timeout(30):
            while self.heard < messages * self.size:
                await asyncio.sleep(0.001)

    async def at_a_rate(self, rate: float, seconds: float) -> int:
        """Say something so many times a second, and wait until all have heard it."""
        self.heard, messages, began = 0, max(int(rate * seconds), 1), time.perf_counter()
        for number in range(messages):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            self.say()
        await self.all_heard(messages)
        return messages

    async def with_a_window(self, window: int, seconds: float) -> float:
        """Keep so many messages on their way; gives the number of those that came."""
        self.heard, self._mark = 0, self.size
        for _ in range(window):
            self.say()
        await asyncio.sleep(seconds)
        self._mark = sys.maxsize
        return self.heard / self.size


async def main() -> None:
    dialect, sockets, rate, window, seconds, servers, broker, *urls = sys.argv[1:]
    pids, brokers = [*map(int, servers.split(","))], [int(broker)] if int(broker) else []
    crowd = Crowd()
    await crowd.come(dialect, urls, int(sockets))
    if brokers:
        del crowd.speakers[1:]
    await asyncio.sleep(0.5)  # what is published before a subscription has reached the broker is not heard
    await crowd.at_a_rate(float(rate), WARM_UP)

    crowd.latencies.clear()
    cpu, broker_cpu = cpu_seconds(*pids), cpu_seconds(*brokers)
    messages = await crowd.at_a_rate(float(rate), max(float(seconds), AT_LEAST / float(rate)))
    seen = {
        "paced": (cpu_seconds(*pids) - cpu) / messages,
        "broker": (cpu_seconds(*brokers) - broker_cpu) / messages,
    }
    latencies = sorted(crowd.latencies)
    seen["p50"], seen["p99"] = (latencies[int(len(latencies) * part)] for part in (0.5, 0.99))

    began, cpu, broker_cpu = time.perf_counter(), cpu_seconds(*pids), cpu_seconds(*brokers)
    came = await crowd.with_a_window(int(window), float(seconds))
    seen["messages"] = came / (time.perf_counter() - began)
    seen["full"] = (cpu_seconds(*pids) - cpu) / came
    seen["full_broker"] = (cpu_seconds(*brokers) - broker_cpu) / came
    print(json.dumps(seen))


if __name__ == "__main__":
    os.sched_setaffinity(0, {CORE})
    uvloop.run(main())
